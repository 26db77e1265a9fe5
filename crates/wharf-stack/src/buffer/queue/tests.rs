use alloc::vec;
use alloc::vec::Vec;

use super::*;

fn pool() -> ChunkPool {
    ChunkPool::new(8 * CHUNK)
}

fn content(queue: &ByteQueue) -> Vec<u8> {
    queue.slices(0, usize::MAX).flatten().copied().collect()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn an_empty_queue_holds_no_chunk() {
    let (mut pool, mut queue) = (pool(), ByteQueue::new());
    assert_eq!(queue.push_slice(&mut pool, &pattern(3 * CHUNK + 5)), 3 * CHUNK + 5);
    assert_eq!(pool.in_use(), 4);
    queue.consume(&mut pool, 3 * CHUNK + 4);
    assert_eq!(pool.in_use(), 1);
    queue.consume(&mut pool, 1);
    assert_eq!((pool.in_use(), queue.chunks(), queue.len()), (0, 0, 0));
}

#[test]
fn bytes_come_out_as_they_went_in_whatever_the_sizes() {
    let (mut pool, mut queue) = (pool(), ByteQueue::new());
    let all = pattern(20 * CHUNK);
    let (mut written, mut read) = (0, 0);
    let mut step = 1;
    while read < all.len() {
        step = step * 7 % 50_021 + 1;
        let end = all.len().min(written + step);
        written += queue.push_slice(&mut pool, &all[written..end]);
        assert_eq!(content(&queue), &all[read..written]);
        let count = (step * 3 % 40_009).min(queue.len());
        queue.consume(&mut pool, count);
        read += count;
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn the_limit_of_the_pool_holds_data_back() {
    let (mut pool, mut queue) = (pool(), ByteQueue::new());
    assert_eq!(queue.push_slice(&mut pool, &vec![1; 9 * CHUNK]), 8 * CHUNK);
    assert!(pool.is_exhausted());
    assert!(queue.spare(&mut pool, 10).is_empty());
    queue.commit(&mut pool, 0);
    queue.consume(&mut pool, CHUNK);
    assert_eq!(queue.push_slice(&mut pool, &[2; 3]), 3);
}

#[test]
fn unused_spare_goes_back() {
    let (mut pool, mut queue) = (pool(), ByteQueue::new());
    queue.push_slice(&mut pool, &[9; 100]);
    let mut spare = queue.spare(&mut pool, 2 * CHUNK);
    assert_eq!(spare.iter().map(|slice| slice.len()).sum::<usize>(), 2 * CHUNK);
    spare[0][..3].copy_from_slice(b"abc");
    drop(spare);
    queue.commit(&mut pool, 3);
    assert_eq!(pool.in_use(), 1);
    assert_eq!(&content(&queue)[100..], b"abc");
    queue.consume(&mut pool, 103);
    drop(queue.spare(&mut pool, CHUNK));
    queue.commit(&mut pool, 0);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn writing_ahead_takes_memory_only_where_it_writes() {
    let (mut pool, mut queue) = (pool(), ByteQueue::new());
    queue.push_slice(&mut pool, b"in order ");
    assert_eq!(queue.write_at(&mut pool, 5 * CHUNK, b"far"), 3);
    assert_eq!(pool.in_use(), 2);
    assert_eq!(queue.write_at(&mut pool, 4, b"near"), 4);
    assert_eq!(content(&queue), b"in order ");
    queue.consume(&mut pool, 9);
    assert_eq!(pool.in_use(), 2);
    queue.write_at(&mut pool, 0, b"the ");
    queue.extend(8);
    assert_eq!(content(&queue), b"the near");
    queue.consume(&mut pool, 8);
    assert_eq!(pool.in_use(), 2, "the byte far ahead is still held, in a chunk of its own");
    queue.clear(&mut pool);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_failed_write_ahead_leaves_nothing_behind() {
    let (mut pool, mut queue, mut other) = (pool(), ByteQueue::new(), ByteQueue::new());
    other.push_slice(&mut pool, &vec![0; 8 * CHUNK]);
    assert_eq!(queue.write_at(&mut pool, 100_000, b"x"), 0);
    assert_eq!(queue.chunks.len(), 0);
}

#[test]
fn what_was_lent_is_taken_or_kept() {
    let all = pattern(3 * CHUNK);
    for (kept, taken) in [(0, 0), (0, 3 * CHUNK), (100, 50), (100, 100), (CHUNK, CHUNK + 7), (5, 2 * CHUNK)] {
        let (mut pool, mut queue) = (pool(), ByteQueue::new());
        queue.push_slice(&mut pool, &all[..kept]);
        let (one, two) = all[kept..].split_at(CHUNK / 2);
        assert!(queue.lend(&mut pool, one.len()) && queue.lend(&mut pool, two.len()));
        assert_eq!((queue.len(), content(&queue).len()), (3 * CHUNK, kept));
        queue.settle(&mut pool, &[one, two], taken);
        assert_eq!((queue.len(), content(&queue)), (3 * CHUNK - taken, all[taken..].to_vec()));
        queue.clear(&mut pool);
        assert!(pool.reserve(8), "nothing is set aside any more");
    }
}

#[test]
fn nothing_is_lent_that_could_not_be_kept() {
    let (mut pool, mut queue) = (pool(), ByteQueue::new());
    assert!(queue.lend(&mut pool, 7 * CHUNK + 1));
    assert!(!queue.lend(&mut pool, CHUNK) && queue.lend(&mut pool, CHUNK - 1));
    assert!(pool.take().is_none());
    let bytes = pattern(8 * CHUNK);
    queue.settle(&mut pool, &[&bytes], 0);
    assert_eq!(content(&queue), bytes);
    queue.clear(&mut pool);
}
