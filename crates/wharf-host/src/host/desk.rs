//! The desk at which requests are answered: the host, its clock, who waits for what, and who is served.

use std::time::Duration;

use serde_json::{Map, Value, json};
use wharf_stack::socket::{Errno, Host, OptionName, OptionValue, SocketId};
use wharf_table::notation::Cidr;
use wharf_table::{Instant, Protocol};

use super::calls::{self, Answer, Call, Failure, Patience, answer, line};
use super::clock::Clock;
use super::driver::Counted;
use super::events::{Events, seconds};
use super::request::{Bad, Request, Verb};
use super::serve::{Servers, Service};
use super::waiting::Waiting;
use super::{options, settings, tell, value};

/// How often something may be due in one `advance`: what never ends must not take the host along.
const STEPS_MAX: u64 = 1_000_000;

/// See the [module](self).
pub(super) struct Desk {
    pub(super) host: Host,
    clock: Clock,
    uid: u32,
    waiting: Waiting,
    servers: Servers,
    events: Events,
    /// Somebody wants to hear what happens.
    heard: bool,
    news: Vec<String>,
}

impl Desk {
    pub(super) fn new(host: Host, clock: Clock, uid: u32) -> Desk {
        Desk {
            host,
            clock,
            uid,
            waiting: Waiting::default(),
            servers: Servers::default(),
            events: Events::default(),
            heard: false,
            news: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Whether something could go on, if the link took more.
    pub(super) fn has_work(&self) -> bool {
        self.host.has_frames()
    }

    /// Whether a server could go on.
    pub(super) fn is_serving(&self) -> bool {
        self.servers.has_work()
    }

    /// How long nothing is due; with a virtual clock nothing ever is by itself.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        if self.clock.is_virtual() {
            return None;
        }
        let next = [self.next(), self.host.poll_trim()].into_iter().flatten().min();
        next.map(|at| at.since(self.now()))
    }

    /// When something is due.
    fn next(&self) -> Option<Instant> {
        [self.host.poll_timeout(), self.waiting.poll_timeout()].into_iter().flatten().min()
    }

    pub(super) fn on_timeouts(&mut self, now: Instant) {
        if !self.clock.is_virtual() {
            self.host.handle_timeout(now);
        }
        self.waiting.handle_timeout(now);
    }

    /// Lets everything that has happened take effect, down to the frames for the link.
    pub(super) fn settle(&mut self, link: &mut Counted) {
        let now = self.now();
        self.servers.work(&mut self.host, now, &mut self.news);
        // What a server sends may make another socket of this host ready: a few turns settle most, the rest waits for the next.
        for _ in 0..4 {
            self.host.poll_frames(now, link);
            if !self.on_changes(now) {
                break;
            }
        }
        for socket in self.servers.take_closed() {
            self.events.note(&self.host, socket);
        }
        for (listener, members) in self.waiting.take_accepted() {
            self.tell_accepted(now, listener, &members);
        }
        if !self.heard {
            self.news.clear();
        }
    }

    /// What has changed at sockets, told to those whom it concerns; whether there was something.
    fn on_changes(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(socket) = self.host.poll_ready() {
            any = true;
            if self.heard {
                self.news.extend(self.events.news(&mut self.host, now, socket));
            }
            self.servers.on_ready(&mut self.host, now, socket, &mut self.news);
            self.waiting.retry(&mut self.host, now, socket);
            if self.heard {
                self.events.note(&self.host, socket);
            }
        }
        any
    }

    pub(super) fn take_answers(&mut self) -> Vec<(usize, String)> {
        self.waiting.take_answers()
    }

    pub(super) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    pub(super) fn set_heard(&mut self, heard: bool) {
        self.heard = heard;
    }

    pub(super) fn forget_client(&mut self, client: usize) {
        self.waiting.forget_client(client);
    }

    /// How many requests of a client wait.
    pub(super) fn waiting_of(&self, client: usize) -> usize {
        self.waiting.count_of(client)
    }

    /// Whether one of them waits for a time only.
    pub(super) fn has_deadline_of(&self, client: usize) -> bool {
        self.waiting.has_deadline_of(client)
    }

    /// The answer to a line that was too long.
    pub(super) fn too_long() -> String {
        let bad = Bad { field: None, message: "the line is longer than 32 MiB".to_owned() };
        line(&Value::Null, None, Err(bad.into()))
    }

    /// Answers a line; `None` when the answer comes later. `hears` is whether the client wants to hear what happens.
    pub(super) fn ask(
        &mut self,
        client: usize,
        text: &[u8],
        hears: &mut bool,
        link: &mut Counted,
    ) -> Option<String> {
        let request = match Request::parse(text) {
            Ok(request) => request,
            Err((id, bad)) => return Some(line(&id, None, Err(bad.into()))),
        };
        let result = match Call::of(&request) {
            Ok(Some(call)) => self.call(client, &request, call)?,
            Ok(None) if request.verb == Verb::Events => request.flag("on").map_err(Failure::from).map(|on| {
                *hears = on;
                self.heard |= on;
                Map::new()
            }),
            Ok(None) => self.at_once(&request, link),
            Err(bad) => Err(bad.into()),
        };
        Some(line(&request.id, Some(request.verb), result))
    }

    /// Makes a call, and lets it wait where it may.
    fn call(&mut self, client: usize, request: &Request, mut call: Call) -> Option<Answer> {
        let now = self.now();
        let patience = match self.patience(request, &call) {
            Ok(patience) => patience,
            Err(bad) => return Some(Err(bad.into())),
        };
        let how = if patience.is_some() { Patience::Waits } else { Patience::None };
        let result = call.attempt(&mut self.host, now, how);
        let deadline = match (&result, patience) {
            (Err(Failure::Errno { errno: Errno::Again, .. }), Some(span)) => span.map(|span| now + span),
            _ => {
                call.sockets().iter().for_each(|socket| self.events.note(&self.host, *socket));
                if let (Call::Accept(listener), Ok(members), true) = (&call, &result, self.heard) {
                    self.tell_accepted(now, *listener, members);
                }
                return Some(result);
            }
        };
        self.waiting.park(client, request.id.clone(), request.verb, call, deadline);
        None
    }

    fn tell_accepted(&mut self, now: Instant, listener: SocketId, members: &Map<String, Value>) {
        let socket =
            members.get("socket").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        let peer = members.get("peer").unwrap_or(&Value::Null);
        if let Some(socket) = socket {
            self.news.push(Events::accepted(now, listener, SocketId::from_index(socket), peer));
        }
    }

    /// How long a request may wait: as it says, or with `wait` as the socket's options say (SO_RCVTIMEO, SO_SNDTIMEO).
    #[allow(clippy::option_option, reason = "not at all, for ever, or so long")]
    fn patience(&mut self, request: &Request, call: &Call) -> Result<Option<Option<Duration>>, Bad> {
        let (socket, option) = match call {
            Call::Wait { .. } => return Ok(Some(request.span("timeout_s")?)),
            Call::Accept(socket) | Call::Receive { socket, .. } => (*socket, OptionName::ReceiveTimeout),
            Call::Connect { socket, .. } | Call::Send { socket, .. } => (*socket, OptionName::SendTimeout),
        };
        Ok(match request.patience()? {
            Some(None) => match self.host.option(socket, option) {
                Ok(OptionValue::Timeout(span)) => Some(span),
                _ => Some(None),
            },
            patience => patience,
        })
    }

    /// Answers a request that never waits.
    fn at_once(&mut self, request: &Request, link: &mut Counted) -> Answer {
        let now = self.now();
        if matches!(request.verb, Verb::Statistics | Verb::Advance) {
            // What was asked for before has left before.
            self.settle(link);
        }
        let host = &mut self.host;
        match request.verb {
            Verb::Socket => calls::socket(host, self.uid, request),
            Verb::Bind => calls::bind(host, request),
            Verb::Listen => calls::listen(host, now, request),
            Verb::Connect => calls::disconnect(host, now, request),
            Verb::Shutdown => calls::shutdown(host, now, request),
            Verb::Close => {
                let result = calls::close(host, now, request);
                if result.is_ok() {
                    self.forget(request.socket()?);
                }
                result
            }
            Verb::SetOption => options::set_option(host, now, request),
            Verb::Option => options::option(host, request),
            Verb::Local => calls::local(host, request),
            Verb::Peer => calls::peer(host, request),
            Verb::Info => tell::info(host, now, request),
            Verb::Table => tell::table(host, request),
            Verb::Sockets => tell::sockets(host, &self.servers, request),
            Verb::Statistics => tell::statistics(host, link.traffic),
            Verb::Serve => self.serve(now, request),
            Verb::Advance => self.advance(request, link),
            Verb::Now => Ok(answer([
                ("now_s", seconds(now).into()),
                ("next_s", self.next().map(seconds).into()),
                ("clock", if self.clock.is_virtual() { "virtual" } else { "real" }.into()),
            ])),
            Verb::AddAddress => self.add_address(request),
            Verb::Setting => self.setting(request),
            Verb::Help => help(request),
            // These are calls, or the client's own.
            Verb::Accept | Verb::Send | Verb::SendTo | Verb::Receive | Verb::Wait | Verb::Events => {
                Ok(Map::new())
            }
        }
    }

    fn forget(&mut self, socket: SocketId) {
        self.waiting.forget_socket(socket);
        self.servers.forget(socket);
        self.events.note(&self.host, socket);
    }

    fn serve(&mut self, now: Instant, request: &Request) -> Answer {
        let port = request.port("port")?.ok_or_else(|| Bad::field("port", "missing"))?;
        if !request.says("as") {
            return Err(Bad::field("as", format!("missing (one of {})", Service::NAMES.join(", "))).into());
        }
        let service = Service::from_name(request.word("as", &Service::NAMES)?).unwrap_or(Service::Echo);
        let protocol = match request.word("protocol", &["tcp", "udp"])? {
            "udp" => Protocol::Udp,
            _ => Protocol::Tcp,
        };
        if (service, protocol) == (Service::Http, Protocol::Udp) {
            return Err(Bad::field("protocol", "http is served over tcp only").into());
        }
        let addr = request.text("address")?.map(value::to_address).transpose();
        let addr = addr.map_err(|why| Bad::field("address", why))?;
        let socket = self.servers.open(&mut self.host, now, service, protocol, (addr, port))?;
        let local = self.host.local(socket).map_err(Failure::of("serve"))?;
        Ok(answer([("socket", socket.index().into()), ("local", value::endpoint(local))]))
    }

    /// Lets time pass, with everything that is due on the way. What the other side answers at once is heard on the way too.
    fn advance(&mut self, request: &Request, link: &mut Counted) -> Answer {
        if !self.clock.is_virtual() {
            let why = "the clock is the machine's (start the host with --clock virtual)";
            return Err(Bad::field("do", why).into());
        }
        let now = self.now();
        let until = match (request.span("by_s")?, request.span("until_s")?, request.flag("next")?) {
            (Some(span), None, false) => now + span,
            (None, Some(span), false) => Instant::ZERO + span,
            (None, None, true) => self.next().unwrap_or(now),
            _ => return Err(Bad::field("by_s", "give one of by_s, until_s and next: true").into()),
        };
        let mut steps = 0;
        while let Some(at) = self.next().filter(|at| *at <= until && steps < STEPS_MAX) {
            steps += 1;
            self.clock.set(at);
            let now = self.now();
            self.host.handle_timeout(now);
            self.waiting.handle_timeout(now);
            self.settle(link);
            link.read(&mut self.host, now);
            self.settle(link);
        }
        if steps < STEPS_MAX {
            self.clock.set(until);
        }
        Ok(answer([("now_s", seconds(self.now()).into()), ("steps", steps.into())]))
    }

    fn add_address(&mut self, request: &Request) -> Answer {
        let text =
            request.text("address")?.ok_or_else(|| Bad::field("address", "missing (10.8.0.3/24 say)"))?;
        let cidr: Cidr =
            text.parse().map_err(|why: wharf_table::notation::CidrError| Bad::field("address", why))?;
        self.host.add_address(cidr);
        Ok(Map::new())
    }

    fn setting(&mut self, request: &Request) -> Answer {
        let missing = |name| move || Bad::field(name, "missing");
        let name = request.text("name")?.ok_or_else(missing("name"))?;
        let given = request.any("value")?;
        let value = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
        settings::apply(self.host.tcp_settings_mut(), name, &value).map_err(|why| {
            Bad::field(
                if matches!(why, settings::SettingError::Value { .. }) { "value" } else { "name" },
                why,
            )
        })?;
        Ok(Map::new())
    }
}

fn help(request: &Request) -> Answer {
    let requests: Vec<Value> = match request.text("about")? {
        None => Verb::ALL.iter().map(|verb| verb.help()).collect(),
        Some(name) => {
            let verb = Verb::from_name(name);
            vec![verb.ok_or_else(|| Bad::field("about", format!("{name:?}: no such request")))?.help()]
        }
    };
    Ok(answer([("requests", json!(requests))]))
}
