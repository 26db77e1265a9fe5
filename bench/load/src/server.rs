//! The far end: answers what [`crate::client`] asks, over TCP and UDP on the same port.

use crate::{CLOSE, ECHO, HOLD};
use std::io::{Error, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

/// How many threads wait in accept: more than a client has workers, so that no connection waits for another.
const ACCEPTORS: usize = 32;

/// Answers on `address` until the process is ended.
pub(crate) fn serve(address: &str) -> Result<(), Error> {
    let listener = Arc::new(TcpListener::bind(address)?);
    let datagrams = UdpSocket::bind(address)?;
    let held = Arc::new(Mutex::new(Vec::new()));
    let acceptors: Vec<_> = (0..ACCEPTORS)
        .map(|_| {
            let (listener, held) = (Arc::clone(&listener), Arc::clone(&held));
            std::thread::spawn(move || accept(&listener, &held))
        })
        .collect();
    println!("serving {address}");
    reflect(&datagrams);
    drop(acceptors);
    Ok(())
}

fn accept(listener: &TcpListener, held: &Mutex<Vec<TcpStream>>) {
    loop {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        let mut first = [0];
        if stream.read_exact(&mut first).is_err() {
            continue;
        }
        match first[0] {
            CLOSE => drop(stream.write_all(&first)),
            HOLD => {
                drop(stream.write_all(&first));
                held.lock().expect("no thread panics while it holds the lock").push(stream);
            }
            ECHO => drop(std::thread::spawn(move || echo(stream, first))),
            _ => (),
        }
    }
}

fn echo(mut stream: TcpStream, first: [u8; 1]) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    stream.write_all(&first)?;
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            length => stream.write_all(&bytes[..length])?,
        }
    }
}

fn reflect(socket: &UdpSocket) {
    let mut bytes = [0; 65536];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut bytes) {
            // A reply that can't be sent is a lost datagram; the client counts only what it gets back.
            drop(socket.send_to(&bytes[..length], from));
        }
    }
}
