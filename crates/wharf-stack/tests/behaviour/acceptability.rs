//! Every state, every place of a segment in the window, every kind of segment: 12 x 5 x 6 cases, each against a model that is
//! written from the text of RFC 9293, section 3.10.7, with the changes of RFC 5961 that it names, and knows nothing of the
//! stack.
//!
//! Where the stack departs from the text the model says so ([`Model::departs`]), and why.

use crate::bench::*;
use wharf_stack::stack::{ConnId, Event};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    /// While the program still holds the connection.
    TimeWait,
    /// As a row of the table.
    TimeWaitRow,
}

use State::*;

const STATES: [State; 12] = [
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    TimeWaitRow,
];

/// Where a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So far before RCV.NXT that it ends there.
    Left,
    /// At RCV.NXT.
    Next,
    /// Behind it.
    Inside,
    /// At the last number of the window.
    Right,
    /// Behind the window, by one.
    Outside,
}

const PLACES: [Place; 5] = [Place::Left, Place::Next, Place::Inside, Place::Right, Place::Outside];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Data,
    Fin,
    Syn,
    SynAck,
    Rst,
    Ack,
}

const KINDS: [What; 6] = [What::Data, What::Fin, What::Syn, What::SynAck, What::Rst, What::Ack];

const DATA: &[u8] = b"0123456789";

impl What {
    const fn flags(self) -> u8 {
        match self {
            What::Data | What::Ack => ACK,
            What::Fin => FIN | ACK,
            What::Syn => SYN,
            What::SynAck => SYN | ACK,
            What::Rst => RST,
        }
    }

    fn payload(self) -> &'static [u8] {
        if self == What::Data { DATA } else { &[] }
    }

    /// SEG.LEN.
    const fn len(self) -> u32 {
        match self {
            What::Data => DATA.len() as u32,
            What::Fin | What::Syn | What::SynAck => 1,
            What::Rst | What::Ack => 0,
        }
    }
}

/// What the peer gets back at once, or within the time of a delayed acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Nothing,
    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`.
    Ack,
    /// `<CTL=RST>`.
    Rst,
    /// `<CTL=SYN,ACK>`.
    SynAck,
}

/// What is seen from outside: the answer, the state, how many bytes the program gets.
type Outcome = (Answer, State, usize);

/// The text of RFC 9293, section 3.10.7.
struct Model {
    state: State,
    place: Place,
    what: What,
}

impl Model {
    fn outcome(&self) -> Outcome {
        match self.state {
            // 3.10.7.1.
            Closed => (if self.what == What::Rst { Answer::Nothing } else { Answer::Rst }, Closed, 0),
            // 3.10.7.2: first RST, second ACK, third SYN.
            Listen => match self.what {
                What::Rst => (Answer::Nothing, Listen, 0),
                What::Syn => (Answer::SynAck, SynReceived, 0),
                _ => (Answer::Rst, Listen, 0),
            },
            // 3.10.7.3. The acknowledgment is acceptable; a RST without one is dropped.
            SynSent => match self.what {
                What::Syn => (Answer::SynAck, SynReceived, 0),
                What::SynAck => (Answer::Ack, Established, 0),
                _ => (Answer::Nothing, SynSent, 0),
            },
            _ => self.departs().unwrap_or_else(|| self.synchronized()),
        }
    }

    /// 3.10.7.4, first: the four cases of the table, for a window that is open.
    fn is_acceptable(&self) -> bool {
        match self.place {
            // What ends before RCV.NXT, be it empty or not.
            Place::Left | Place::Outside => false,
            Place::Next | Place::Inside | Place::Right => true,
        }
    }

    fn synchronized(&self) -> Outcome {
        let state = self.state;
        if !self.is_acceptable() {
            // "If an incoming segment is not acceptable, an acknowledgment should be sent in reply (unless the RST bit is set)".
            let answer = if self.what == What::Rst { Answer::Nothing } else { Answer::Ack };
            return (answer, state, 0);
        }
        match self.what {
            // Second. RFC 5961, section 3: exactly RCV.NXT, or it is challenged.
            What::Rst if self.place == Place::Next => {
                // A passive open goes back to LISTEN; "CLOSING, LAST-ACK, TIME-WAIT: enter the CLOSED state".
                (Answer::Nothing, if state == SynReceived { Listen } else { Closed }, 0)
            }
            What::Rst => (Answer::Ack, state, 0),
            // Fourth. SYN-RECEIVED by a passive open returns to LISTEN; the others challenge (RFC 5961, section 4).
            What::Syn | What::SynAck if state == SynReceived => (Answer::Nothing, Listen, 0),
            What::Syn | What::SynAck => (Answer::Ack, state, 0),
            // Fifth: the acknowledgment is SND.UNA, or in SYN-RECEIVED that of the SYN.
            What::Ack => (Answer::Nothing, if state == SynReceived { Established } else { state }, 0),
            What::Data => self.text(if state == SynReceived { Established } else { state }),
            What::Fin => self.fin(if state == SynReceived { Established } else { state }),
        }
    }

    /// Seventh: "ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2: it is possible to deliver segment text"; elsewhere it "should not occur
    /// since a FIN has been received from the remote side. Ignore the segment text."
    fn text(&self, state: State) -> Outcome {
        if !matches!(state, Established | FinWait1 | FinWait2) {
            return (Answer::Nothing, state, 0);
        }
        (Answer::Ack, state, if self.place == Place::Next { DATA.len() } else { 0 })
    }

    /// Eighth. A FIN behind a gap waits for what lies before it; a second one behind the first can't be.
    fn fin(&self, state: State) -> Outcome {
        if !matches!(state, Established | FinWait1 | FinWait2) {
            return (Answer::Nothing, state, 0);
        }
        let after = match state {
            _ if self.place != Place::Next => state,
            Established => CloseWait,
            FinWait1 => Closing,
            FinWait2 => TimeWait,
            state => state,
        };
        (Answer::Ack, after, 0)
    }

    /// What the stack does instead, on purpose.
    fn departs(&self) -> Option<Outcome> {
        let Model { state, place, what } = *self;
        match (state, what, place) {
            // A SYN that comes again is answered with the SYN-ACK again, as in Linux: the first may be lost. Only behind the
            // first is one another's attempt, which is challenged as in the other states (RFC 5961, section 4).
            (SynReceived, What::Syn, Place::Left) => Some((Answer::SynAck, SynReceived, 0)),
            (SynReceived, What::Syn | What::SynAck, Place::Next | Place::Inside | Place::Right) => {
                Some((Answer::Ack, SynReceived, 0))
            }
            // MAY-2, RFC 1122, section 4.2.2.13: a SYN behind all that the old connection had opens a new one.
            (TimeWaitRow, What::Syn, Place::Inside | Place::Right | Place::Outside) => {
                Some((Answer::SynAck, SynReceived, 0))
            }
            // A row can't tell what is new from what is late, and answers all that says something, as in Linux.
            (TimeWaitRow, What::Data | What::Fin, Place::Next | Place::Inside | Place::Right)
            | (TimeWaitRow, What::Ack, Place::Inside | Place::Right) => Some((Answer::Ack, TimeWaitRow, 0)),
            // RFC 1337, section 3, fix F1: a RST does not end TIME-WAIT.
            (TimeWait | TimeWaitRow, What::Rst, _) => Some((Answer::Nothing, state, 0)),
            _ => None,
        }
    }
}

/// A host in a state, and what the peer must know for its next segment.
struct Scene {
    host: Host,
    id: Option<ConnId>,
    /// RCV.NXT, the number behind the window, and SND.UNA.
    rcv_nxt: u32,
    edge: u32,
    ack: u32,
}

fn scene(state: State) -> Scene {
    match state {
        Closed => {
            let host = silent_host(1_500, |_| {});
            return Scene { host, id: None, rcv_nxt: IRS, edge: IRS.wrapping_add(60_000), ack: 77 };
        }
        Listen => {
            let host = host(|_| {});
            return Scene { host, id: None, rcv_nxt: IRS, edge: IRS.wrapping_add(60_000), ack: 77 };
        }
        SynSent => {
            let mut host = silent_host(1_500, |_| {});
            let id = host.stack.connect(host.now, at(HOST[0], PORT), at(PEER[0], 5_000)).unwrap();
            let syn = host.sent().remove(0);
            let ack = syn.seq.wrapping_add(1);
            return Scene { host, id: Some(id), rcv_nxt: IRS, edge: IRS.wrapping_add(60_000), ack };
        }
        SynReceived => {
            let mut host = host(|_| {});
            let syn = Segment { seq: IRS, ..blank(0, 5_000).flags(SYN).options(&MSS_1000) };
            let answer = host.take(syn).remove(0);
            let edge = answer.ack.wrapping_add(u32::from(answer.window));
            let ack = answer.seq.wrapping_add(1);
            return Scene { host, id: None, rcv_nxt: answer.ack, edge, ack };
        }
        _ => {}
    }
    let mut host = host(|_| {});
    let talk = host.opened();
    // What the host has said of its window so far.
    let mut said = vec![talk.syn_ack.clone()];
    // How much of the peer's FIN and of ours has been sent and heard.
    let mut rcv = 1;
    let mut ack = 1;
    if matches!(state, CloseWait | LastAck) {
        said.extend(host.take(talk.segment(1, 1).flags(FIN | ACK)));
        rcv = 2;
    }
    if matches!(state, FinWait1 | FinWait2 | Closing | LastAck | TimeWait | TimeWaitRow) {
        host.stack.shutdown(host.now, talk.id);
        said.extend(host.sent());
        assert!(said.iter().any(|segment| segment.flags & FIN != 0));
    }
    if matches!(state, FinWait2 | TimeWait | TimeWaitRow) {
        said.extend(host.take(talk.segment(1, 2)));
        ack = 2;
    }
    if matches!(state, Closing | TimeWait | TimeWaitRow) {
        said.extend(host.take(talk.segment(1, ack).flags(FIN | ACK)));
        rcv = 2;
    }
    said.extend(host.wait(ms(45)).into_iter().map(|(_, segment)| segment));
    // Behind the acknowledgments of the row, which are so far apart.
    if state == TimeWaitRow {
        host.stack.release(host.now, talk.id);
        host.sent();
        host.wait(secs(1));
    }
    let id = (state != TimeWaitRow).then_some(talk.id);
    let (rcv_nxt, ack) = (IRS.wrapping_add(rcv), talk.iss.wrapping_add(ack));
    let edges = said.iter().map(|segment| segment.ack.wrapping_add(u32::from(segment.window)));
    let edge = edges.max_by_key(|edge| edge.wrapping_sub(IRS)).expect("a SYN-ACK was among them");
    Scene { host, id, rcv_nxt, edge, ack }
}

impl Scene {
    fn state(&self) -> State {
        let requests = self.host.stack.table().request_count();
        let Some(id) = self.id.filter(|_| requests == 0) else {
            let listens = self.host.stack.table().binding_count() > 0;
            return match (requests, self.host.stack.table().waiting_count()) {
                (0, 0) if listens => Listen,
                (0, 0) => Closed,
                (0, _) => TimeWaitRow,
                _ => SynReceived,
            };
        };
        match self.host.stack.state(id).name() {
            "syn_sent" => SynSent,
            "syn_received" => SynReceived,
            "established" => Established,
            "fin_wait_1" => FinWait1,
            "fin_wait_2" => FinWait2,
            "close_wait" => CloseWait,
            "closing" => Closing,
            "last_ack" => LastAck,
            "time_wait" => TimeWait,
            _ => Closed,
        }
    }

    /// Where the peer's segment begins.
    fn seq(&self, place: Place, what: What) -> u32 {
        match place {
            // An empty one stands a byte before, for it has no end.
            Place::Left => self.rcv_nxt.wrapping_sub(what.len().max(1)),
            Place::Next => self.rcv_nxt,
            Place::Inside => self.rcv_nxt.wrapping_add(100),
            Place::Right => self.edge.wrapping_sub(1),
            Place::Outside => self.edge.wrapping_add(1),
        }
    }

    fn outcome(&mut self, place: Place, what: What) -> Outcome {
        let seq = self.seq(place, what);
        let flags = what.flags();
        let ack = if flags & ACK != 0 { self.ack } else { 0 };
        let segment = Segment { seq, ack, ..blank(0, 5_000).flags(flags).data(what.payload()) };
        let mut answers = self.host.take(segment);
        answers.extend(self.host.wait(ms(45)).into_iter().map(|(_, segment)| segment));
        for event in self.host.events.drain(..) {
            if let Event::Connected(id) = event {
                self.id = Some(id);
            }
        }
        let answer = answers.iter().find_map(|answer| match answer.flags & !PSH {
            ACK if answer.payload.is_empty() => Some(Answer::Ack),
            flags if flags & RST != 0 => Some(Answer::Rst),
            flags if flags == SYN | ACK => Some(Answer::SynAck),
            // Ours that goes again.
            _ => None,
        });
        let state = self.state();
        let live = self.id.filter(|_| {
            !matches!(state, Closed | Listen | TimeWaitRow) && self.host.stack.table().request_count() == 0
        });
        let delivered = live.map_or(0, |id| self.host.stack.received(id).0.flatten().count());
        (answer.unwrap_or(Answer::Nothing), state, delivered)
    }
}

#[test]
fn every_state_place_and_kind_of_segment_is_as_rfc_9293_says() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for state in STATES {
        assert_eq!(scene(state).state(), state, "the scene is set");
        for place in PLACES {
            for what in KINDS {
                let expected = Model { state, place, what }.outcome();
                let found = scene(state).outcome(place, what);
                cases += 1;
                if found != expected {
                    wrong.push(format!("{state:?} {place:?} {what:?}: {found:?}, expected {expected:?}"));
                }
            }
        }
    }
    assert_eq!(cases, STATES.len() * PLACES.len() * KINDS.len());
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}
