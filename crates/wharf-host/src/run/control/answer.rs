//! How an answer comes about: what it needs is asked of each holder in turn, a piece at a time.

use serde_json::Value;
use wharf_table::Instant;

use super::super::datagrams::ClientKey;
use super::super::flows::{Direction, LaneCount, Page};
use super::super::lanes::Lanes;
use super::super::pump::Pump;
use super::client::{Client, Line};
use super::document::{self, Moment};
use super::policy::GuardRequest;
use super::{About, Ask, Asker, Content, Control, Question};

/// An answer that is being made.
pub(super) struct Answer {
    id: Value,
    /// Another lane was asked, and has not answered.
    awaits: bool,
    kind: Kind,
}

enum Kind {
    /// The sum of the lanes before `lane`.
    Status {
        lane: usize,
        count: Box<LaneCount>,
    },
    Flows(Flows),
    /// What is asked of the guard.
    Guard(GuardRequest),
}

/// What comes next of a list of flows.
struct Flows {
    part: Part,
    /// Another lane has sent it.
    page: Option<Page>,
    mark: Mark,
}

/// What has to be written before the next flow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The beginning of the document.
    Head,
    /// Nothing: it is the first.
    First,
    /// What separates it from the one before.
    None,
}

/// Whose flows come next, and from where on.
enum Part {
    Lane { lane: usize, from: u32 },
    Spliced { from: u32 },
    Sockets { from: u32 },
    Clients { keys: Vec<ClientKey>, from: u32 },
    Pings { from: u32 },
    End,
}

/// Whether an answer is whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    Whole,
    Partly,
}

impl Answer {
    /// The answer to a line; what is no request has one at once.
    fn to(line: &[u8]) -> Result<Answer, Vec<u8>> {
        let bad = |id: Option<&Value>, message: &str| Err(document::error(id, "bad_request", message));
        let Ok(request) = serde_json::from_slice::<Value>(line) else {
            return bad(None, "not a line of JSON (write {\"do\":\"status\"} or {\"do\":\"flows\"})");
        };
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let kind = match request.get("do").and_then(Value::as_str) {
            Some("status") => Kind::Status { lane: 0, count: Box::default() },
            Some("flows") => {
                Kind::Flows(Flows { part: Part::Lane { lane: 0, from: 0 }, page: None, mark: Mark::Head })
            }
            Some("policy" | "reload" | "decide") => match GuardRequest::read(&request) {
                Ok(asked) => Kind::Guard(asked),
                Err(message) => return bad(Some(&id), &message),
            },
            Some(other) => {
                let known = "status, flows, policy, reload and decide are";
                return bad(Some(&id), &format!("{other:?}: no such request ({known})"));
            }
            None => return bad(Some(&id), "field \"do\" is missing (write {\"do\":\"status\"})"),
        };
        Ok(Answer { id, awaits: false, kind })
    }

    /// Whether it can go on without a new event.
    pub(super) fn has_work(&self) -> bool {
        !self.awaits
    }

    /// What another lane has answered.
    pub(super) fn on_content(&mut self, content: Content) {
        self.awaits = false;
        match (&mut self.kind, content) {
            (Kind::Status { lane, count }, Content::Count(more)) => {
                count.add(&more);
                *lane += 1;
            }
            (Kind::Flows(flows), Content::Flows(page)) => flows.page = Some(page),
            // Nothing else was asked.
            _ => {}
        }
    }

    /// Makes the next piece.
    fn work(
        &mut self,
        now: Instant,
        asker: Asker,
        pump: &mut Pump,
        about: &About,
        out: &mut Vec<u8>,
    ) -> Made {
        match &mut self.kind {
            Kind::Status { lane: lane @ 0, count } => {
                count.add(&pump.lane.count());
                *lane = 1;
                Made::Partly
            }
            Kind::Status { lane, .. } if pump.ask(*lane - 1, asker, Question::Count) => {
                self.awaits = true;
                Made::Partly
            }
            Kind::Status { count, .. } => {
                out.extend(document::line(&document::status(about, &self.id, count, pump.moment(now))));
                Made::Whole
            }
            Kind::Guard(request) => {
                out.extend(document::line(&request.answer(now, &self.id, &pump.lane.guard)));
                // The others look at their flows when they are asked something.
                if request.wakes_lanes() {
                    (0..pump.other_lanes()).for_each(|lane| {
                        pump.ask(lane, asker, Question::Count);
                    });
                }
                Made::Whole
            }
            Kind::Flows(flows) => {
                if flows.mark == Mark::Head {
                    pump.resolver.names.refresh();
                    flows.mark = Mark::First;
                    out.extend(document::flows_head(&self.id, about));
                }
                let Some(page) = flows.next_page(now, asker, pump) else {
                    self.awaits = true;
                    return Made::Partly;
                };
                flows.write(now, &page, pump, about, out);
                flows.part.go_on(page.next, pump);
                if !matches!(flows.part, Part::End) {
                    return Made::Partly;
                }
                out.extend(b"]}\n");
                Made::Whole
            }
        }
    }
}

impl Flows {
    /// The page that another lane has sent, or the next of this one; `None` when another lane was asked for it.
    fn next_page(&mut self, now: Instant, asker: Asker, pump: &Pump) -> Option<Page> {
        self.page.take().or_else(|| self.part.page(now, asker, pump))
    }

    /// Writes a page.
    fn write(&mut self, now: Instant, page: &Page, pump: &Pump, about: &About, out: &mut Vec<u8>) {
        for flow in &page.flows {
            if std::mem::replace(&mut self.mark, Mark::None) == Mark::None {
                out.push(b',');
            }
            let judged = flow.judged.as_ref().and_then(|(_, name)| name.as_ref());
            let name = match flow.direction {
                Direction::Outward if judged.is_some() => judged.map(|name| name.as_str().into()),
                Direction::Outward => pump.resolver.names.name_of(flow.inside.remote.addr, flow.opened),
                Direction::Inward => None,
            };
            document::flow(out, now, flow, about, name.as_deref());
        }
    }
}

impl Part {
    /// The next page; `None` when another lane was asked for it.
    fn page(&self, now: Instant, asker: Asker, pump: &Pump) -> Option<Page> {
        Some(match self {
            Part::Lane { lane: 0, from } => pump.lane.page(*from),
            Part::Lane { lane, from } => {
                let asked = pump.ask(lane - 1, asker, Question::Flows { from: *from });
                return if asked { None } else { Some(Page::default()) };
            }
            Part::Spliced { from } => pump.spliced.page(*from),
            Part::Sockets { from } => pump.datagrams.page(now, *from),
            Part::Clients { keys, from } => pump.datagrams.clients_page(now, keys, *from),
            Part::Pings { from } => pump.echoes.page(now, *from),
            Part::End => Page::default(),
        })
    }

    /// Goes on behind a page that ended at `next`.
    fn go_on(&mut self, next: Option<u32>, pump: &Pump) {
        match (&mut *self, next) {
            (
                Part::Lane { from, .. }
                | Part::Spliced { from }
                | Part::Sockets { from }
                | Part::Clients { from, .. }
                | Part::Pings { from },
                Some(next),
            ) => *from = next,
            (Part::Lane { lane, .. }, None) if *lane < pump.other_lanes() => {
                *self = Part::Lane { lane: *lane + 1, from: 0 };
            }
            (Part::Lane { .. }, None) => *self = Part::Spliced { from: 0 },
            (Part::Spliced { .. }, None) => *self = Part::Sockets { from: 0 },
            (Part::Sockets { .. }, None) => {
                *self = Part::Clients { keys: pump.datagrams.client_keys(), from: 0 };
            }
            (Part::Clients { .. }, None) => *self = Part::Pings { from: 0 },
            (Part::Pings { .. } | Part::End, _) => *self = Part::End,
        }
    }
}

impl Pump {
    /// How many lanes there are besides the first.
    fn other_lanes(&self) -> usize {
        self.others.as_ref().map_or(0, |others| others.len())
    }

    /// Asks another lane, if there is one with this number.
    fn ask(&self, lane: usize, asker: Asker, question: Question) -> bool {
        self.others.as_ref().is_some_and(|others| others.ask(lane, Ask { asker, question }))
    }

    fn moment(&self, now: Instant) -> Moment {
        Moment {
            now,
            init_pid: self.sandbox.init_pid(),
            program_pid: self.sandbox.program_pid(),
            spliced: self.spliced.len(),
            udp: self.datagrams.len(),
            icmp: self.echoes.len(),
        }
    }

    /// Whether somebody who asks has to have a turn.
    pub(in super::super) fn is_asked(&self, now: Instant) -> bool {
        let is_due = |control: &Control| {
            control.has_work()
                || control.poll_timeout().is_some_and(|at| at <= now)
                || self.others.as_ref().is_some_and(Lanes::has_reply)
        };
        self.control.as_ref().is_some_and(is_due)
    }

    /// Gives everybody who asks a turn.
    pub(in super::super) fn serve_control(&mut self, now: Instant) {
        let Some(mut control) = self.control.take() else { return };
        if let Some(others) = &mut self.others {
            while let Some(reply) = others.poll_reply() {
                control.on_reply(reply);
            }
        }
        control.handle_timeout(now);
        control.accept(now, &self.lane.poller);
        let Control { clients, about, .. } = &mut control;
        for (place, client) in clients.iter_mut() {
            turn(client, now, place as u32, self, about);
        }
        clients.retain(|_, client| !client.is_over());
        let has_work = clients.iter().any(|(_, client)| client.has_work());
        control.has_work = control.has_newcomers || has_work;
        self.control = Some(control);
    }
}

/// A client's turn: one piece of an answer at most.
fn turn(client: &mut Client, now: Instant, place: u32, pump: &mut Pump, about: &About) {
    let asker = Asker { place, serial: client.serial };
    client.flush(now);
    if !client.has_room() {
        return;
    }
    if client.answer.is_none() {
        match client.next_line(now) {
            Some(Line::Whole(line)) => match Answer::to(&line) {
                Ok(answer) => client.answer = Some(answer),
                Err(error) => client.output().extend(error),
            },
            Some(Line::TooLong) => {
                let error = document::error(None, "bad_request", "the request is longer than any (1 MiB)");
                client.output().extend(error);
            }
            None => {}
        }
    }
    if let Some(mut answer) = client.answer.take_if(|answer| answer.has_work())
        && answer.work(now, asker, pump, about, client.output()) == Made::Partly
    {
        client.answer = Some(answer);
    }
    client.flush(now);
}
