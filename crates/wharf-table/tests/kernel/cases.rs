//! What is tried: sockets, what they do, and in which combinations.

use super::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proto {
    Tcp,
    Udp,
}

/// An address as a program binds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Any4,
    One,
    Two,
    Dual,
    Only6,
    One6,
    Mapped,
}

impl Place {
    pub(crate) const ALL: [Place; 7] =
        [Place::Any4, Place::One, Place::Two, Place::Dual, Place::Only6, Place::One6, Place::Mapped];

    pub(crate) fn is_v4_socket(self) -> bool {
        matches!(self, Place::Any4 | Place::One | Place::Two)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub address: bool,
    pub port: bool,
}

pub(crate) const OPTIONS: [Options; 4] = [
    Options { address: false, port: false },
    Options { address: true, port: false },
    Options { address: false, port: true },
    Options { address: true, port: true },
];

/// What a socket does after it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Bind,
    /// Binds, and changes its options.
    Toggle(Options),
    /// Binds and listens.
    Listen,
    /// Binds and connects.
    Connect,
    /// Binds, listens, accepts one connection, and closes the listener. Over IPv6 where it can be either.
    Child(Family),
    /// The same, and goes on listening.
    Server(Family),
    /// The same as the child, which closes first, so that TIME-WAIT is left.
    Left(Family),
    /// Connects without a bind, when the port is the only one of the ephemeral range.
    Implicit,
    /// Binds port 0.
    Zero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub proto: Proto,
    pub place: Place,
    pub options: Options,
    pub act: Act,
    /// Whether it is another user's, who has no right to privileged ports.
    pub other: bool,
    pub privileged: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Case(pub Vec<Step>);

/// A generator whose cases are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % count
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn step(proto: Proto, place: Place, options: Options, act: Act) -> Step {
    Step { proto, place, options, act, other: false, privileged: false }
}

const TCP_FIRST: [Act; 11] = [
    Act::Bind,
    Act::Listen,
    Act::Connect,
    Act::Child(Family::V4),
    Act::Child(Family::V6),
    Act::Server(Family::V4),
    Act::Left(Family::V4),
    Act::Left(Family::V6),
    Act::Toggle(OPTIONS[0]),
    Act::Toggle(OPTIONS[3]),
    Act::Implicit,
];
const UDP_FIRST: [Act; 4] = [Act::Bind, Act::Connect, Act::Toggle(OPTIONS[1]), Act::Toggle(OPTIONS[2])];
const TCP_LATER: [Act; 6] =
    [Act::Bind, Act::Listen, Act::Connect, Act::Left(Family::V4), Act::Implicit, Act::Zero];
const UDP_LATER: [Act; 3] = [Act::Bind, Act::Connect, Act::Zero];

/// Two sockets in every combination, and three drawn at random.
pub(crate) fn all(world: World) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut dice = Dice(7);
    for place in Place::ALL {
        for options in OPTIONS {
            for (proto, first) in TCP_FIRST
                .map(|act| (Proto::Tcp, act))
                .into_iter()
                .chain(UDP_FIRST.map(|act| (Proto::Udp, act)))
            {
                for second in Place::ALL {
                    let later = step(proto, second, dice.one(&OPTIONS), Act::Bind);
                    let listens = if proto == Proto::Tcp { Act::Listen } else { Act::Connect };
                    let same = Step { options, act: dice.one(&[Act::Bind, listens]), ..later };
                    for later in [later, same] {
                        cases.push(Case(vec![step(proto, place, options, first), later]));
                    }
                }
            }
        }
    }
    for _ in 0..6000 {
        let steps = 2 + dice.below(2);
        let proto = dice.one(&[Proto::Tcp, Proto::Tcp, Proto::Udp]);
        let privileged = world.users && dice.below(12) == 0;
        let case = (0..=steps.min(2)).map(|at| {
            let act = match (proto, at) {
                (Proto::Tcp, 0) => dice.one(&TCP_FIRST),
                (Proto::Udp, 0) => dice.one(&UDP_FIRST),
                (Proto::Tcp, _) => dice.one(&TCP_LATER),
                (Proto::Udp, _) => dice.one(&UDP_LATER),
            };
            let mut step = step(proto, dice.one(&Place::ALL), dice.one(&OPTIONS), act);
            step.other = world.users && dice.below(4) == 0;
            step.privileged = privileged;
            step
        });
        let case: Vec<Step> = case.collect();
        cases.push(Case(case[..steps.min(case.len())].to_vec()));
    }
    let possible = |step: &Step| {
        let implicit = step.act == Act::Implicit;
        // An ephemeral range that begins below the privileged ports' end is refused by the kernel.
        !implicit || world.own_network && !step.privileged && step.place != Place::Mapped
    };
    cases.retain(|Case(steps)| steps.iter().all(possible));
    cases
}
