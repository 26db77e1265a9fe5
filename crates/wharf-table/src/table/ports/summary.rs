//! The owners of a port in numbers: how many there are of each kind that a rule tells apart.

use alloc::boxed::Box;

use super::owner::{Asking, Class};
use crate::claim::User;

/// The users of some owners, in three sums that tell whether there is one other than a given one: the squares of the
/// distances to it add up to more than zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Users {
    count: u32,
    sum: u64,
    squares: [u64; 2],
}

impl Users {
    fn squares(self) -> u128 {
        u128::from(self.squares[1]) << 64 | u128::from(self.squares[0])
    }

    fn set_squares(&mut self, squares: u128) {
        self.squares = [squares as u64, (squares >> 64) as u64];
    }

    fn add(&mut self, User(user): User) {
        self.count += 1;
        self.sum += u64::from(user);
        self.set_squares(self.squares() + u128::from(user) * u128::from(user));
    }

    fn remove(&mut self, User(user): User) {
        self.count -= 1;
        self.sum -= u64::from(user);
        self.set_squares(self.squares() - u128::from(user) * u128::from(user));
    }

    /// Whether there is an owner of another user.
    fn any_but(self, User(user): User) -> bool {
        let user = u128::from(user);
        // The sum of (u - user)^2 over all u.
        self.squares() + u128::from(self.count) * user * user != 2 * user * u128::from(self.sum)
    }
}

/// Owners with SO_REUSEPORT, without (the first) and with (the second) a reusable address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sharers {
    /// In TIME-WAIT, whose user no longer matters.
    waiting: [u32; 2],
    users: [Users; 2],
}

/// What the rules need to know of the owners within one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Neither a reusable address nor SO_REUSEPORT.
    plain: u32,
    /// A reusable address: SO_REUSEADDR, and not listening.
    reusable: u32,
    sharers: Option<Box<Sharers>>,
}

/// One owner without options: what is known where owners are few.
pub(super) static ONE: Summary = Summary { plain: 1, reusable: 0, sharers: None };

impl Summary {
    /// So many owners without options.
    pub(super) fn of_few(count: u32) -> Summary {
        Summary { plain: count, ..Summary::default() }
    }

    /// How many there are, when all are without options.
    pub(super) fn few(&self) -> Option<u32> {
        (self.reusable == 0 && self.sharers.is_none()).then_some(self.plain)
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Summary::default()
    }

    pub(super) fn add(&mut self, class: Class, user: User) {
        let reusable = usize::from(class.is_reusable());
        if !class.reuses_port() {
            *self.alone(reusable) += 1;
            return;
        }
        let sharers = self.sharers.get_or_insert_default();
        if class.is_waiting() {
            sharers.waiting[reusable] += 1;
        } else {
            sharers.users[reusable].add(user);
        }
    }

    pub(super) fn remove(&mut self, class: Class, user: User) {
        let reusable = usize::from(class.is_reusable());
        if !class.reuses_port() {
            *self.alone(reusable) -= 1;
            return;
        }
        let sharers = self.sharers.as_mut().expect("an owner that goes has come");
        if class.is_waiting() {
            sharers.waiting[reusable] -= 1;
        } else {
            sharers.users[reusable].remove(user);
        }
        if **sharers == Sharers::default() {
            self.sharers = None;
        }
    }

    fn alone(&mut self, reusable: usize) -> &mut u32 {
        if reusable == 0 { &mut self.plain } else { &mut self.reusable }
    }

    /// Whether an owner here keeps a TCP socket from the port (rule 3).
    pub(super) fn blocks(&self, asking: &Asking) -> bool {
        if self.plain > 0 || self.reusable > 0 && !asking.sharing.reuse_address {
            return true;
        }
        let Some(sharers) = &self.sharers else { return false };
        let matters = if asking.sharing.reuse_address { 0..1 } else { 0..2 };
        matters.into_iter().any(|reusable| {
            let (waiting, users) = (sharers.waiting[reusable], sharers.users[reusable]);
            if asking.sharing.reuse_port {
                users.count > 0 && users.any_but(asking.user)
            } else {
                waiting > 0 || users.count > 0
            }
        })
    }

    /// Whether there is an owner here that SO_REUSEADDR on both sides does not excuse.
    pub(super) fn has_unexcused(&self, asking: &Asking) -> bool {
        let excused = asking.sharing.reuse_address;
        let sharers = self.sharers.as_ref().is_some_and(|sharers| {
            let held = |reusable: usize| sharers.waiting[reusable] + sharers.users[reusable].count > 0;
            held(0) || !excused && held(1)
        });
        self.plain > 0 || self.reusable > 0 && !excused || sharers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn three_sums_tell_whether_there_is_another_user(
            users in prop::collection::vec(prop_oneof![0..3u32, u32::MAX - 2..=u32::MAX], 0..40),
            gone in 0..40usize,
            asked in prop_oneof![0..3u32, u32::MAX - 2..=u32::MAX],
        ) {
            let mut sums = Users::default();
            users.iter().for_each(|&user| sums.add(User(user)));
            let gone = gone.min(users.len());
            users[..gone].iter().for_each(|&user| sums.remove(User(user)));
            let left: Vec<u32> = users[gone..].to_vec();
            prop_assert_eq!(sums.any_but(User(asked)), left.iter().any(|&user| user != asked));
            prop_assert_eq!(sums == Users::default(), left.is_empty());
        }
    }
}
