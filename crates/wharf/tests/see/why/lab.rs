//! Two network namespaces with a wire between them, servers in them, and what is asked about both.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A server: ADDRESS PORT BACKLOG OPTIONS. It answers every request with `hello`.
const SERVER: &str = r#"
import sys, socket, socketserver, http.server
address, port, backlog, options = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6 if ':' in address else socket.AF_INET
    request_queue_size = backlog
    allow_reuse_address = 'noreuse' not in options
    allow_reuse_port = False
    def server_bind(self):
        if ':' in address:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 'v6only' in options)
        socketserver.TCPServer.server_bind(self)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header('Content-Length', '6'); self.end_headers()
        if self.command == 'GET': self.wfile.write(b'hello\n')
    do_HEAD = do_GET
    def log_message(self, *rest): pass
server = Server((address, port), Handler)
if 'tls' in options:
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[5], sys.argv[6])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

static LABS: AtomicU32 = AtomicU32::new(0);

/// Two namespaces, `a` with 10.N.M.1 and `b` with 10.N.M.2, and what runs in them.
pub(crate) struct Lab {
    pub(crate) a: String,
    pub(crate) b: String,
    /// The first three numbers of the addresses.
    net: String,
    children: Vec<Child>,
}

/// The Python that is behind whatever `python3` is here.
fn python() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        found.ok().and_then(|out| String::from_utf8(out.stdout).ok()).unwrap_or_default().trim().to_owned()
    })
}

/// A copy of wharf that every user may run.
pub(crate) fn wharf() -> &'static str {
    static COPY: OnceLock<String> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = format!("/tmp/wharf-why-{}", std::process::id());
        std::fs::copy(env!("CARGO_BIN_EXE_wharf"), &copy).expect("copied");
        copy
    })
}

/// Says why a test can't be run here.
pub(crate) fn missing() -> Option<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !status.contains("\nUid:\t0\t0\t") {
        return Some("not root");
    }
    for tool in ["ip", "nft", "curl", "python3", "ss"] {
        let found =
            Command::new("sh").args(["-c", &format!("command -v {tool}")]).stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return Some(tool);
        }
    }
    None
}

/// A lab, or the reason why there is none, printed.
pub(crate) fn lab() -> Option<Lab> {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return None;
    }
    let number = LABS.fetch_add(1, Ordering::Relaxed);
    let id = std::process::id();
    let name = |end: &str| format!("why{id}-{number}{end}");
    let net = format!("10.{}.{}", 64 + id % 128, number);
    let lab = Lab { a: name("a"), b: name("b"), net, children: Vec::new() };
    let (a, b, net) = (&lab.a, &lab.b, &lab.net);
    shell(&format!("ip netns add {a} && ip netns add {b}"));
    shell(&format!("ip -n {a} link add w0 type veth peer name w0 netns {b}"));
    for (name, host) in [(a, 1), (b, 2)] {
        shell(&format!(
            "ip -n {name} link set lo up && ip -n {name} address add {net}.{host}/24 dev w0 && ip -n {name} link set w0 up"
        ));
        shell(&format!(
            "ip netns exec {name} sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.w0.rp_filter=0"
        ));
    }
    Some(lab)
}

/// Runs a command line that must succeed.
pub(crate) fn shell(line: &str) -> String {
    let out = Command::new("sh").args(["-c", line]).output().expect("there is a shell");
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// What `wharf why` said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) json: Value,
}

impl Said {
    fn read(out: &Output) -> Said {
        let text = String::from_utf8_lossy(&out.stdout);
        let json = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&out.stderr)));
        Said { code: out.status.code(), json }
    }

    pub(crate) fn sentence(&self) -> &str {
        self.json["sentence"].as_str().expect("a sentence")
    }

    pub(crate) fn remedy(&self) -> &str {
        self.json["remedy"].as_str().unwrap_or_else(|| panic!("no remedy: {:#}", self.json))
    }

    /// It names what is wrong.
    #[track_caller]
    pub(crate) fn names(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{:#}", self.json);
        for word in words {
            assert!(self.sentence().contains(word), "{word:?} is not in it: {:#}", self.json);
        }
    }

    #[track_caller]
    pub(crate) fn is_well(&self) {
        assert_eq!(self.code, Some(0), "{:#}", self.json);
        assert_eq!(self.json["verdict"], "reachable", "{:#}", self.json);
        assert!(self.json["remedy"].is_null(), "{:#}", self.json);
    }
}

impl Lab {
    /// An address: of `a` with 1, of `b` with 2.
    pub(crate) fn address(&self, host: u8) -> String {
        format!("{}.{host}", self.net)
    }

    /// Runs a command line in a namespace; it must succeed.
    pub(crate) fn run(&self, place: &str, line: &str) -> String {
        let mut command = Command::new("ip");
        let out = command.args(["netns", "exec", place, "sh", "-c", line]).output().expect("there is ip");
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Loads rules into a namespace.
    pub(crate) fn rules(&self, place: &str, rules: &str) {
        let mut command = Command::new("ip");
        let command = command.args(["netns", "exec", place, "nft", "-f", "-"]).stdin(Stdio::piped());
        let mut child = command.spawn().expect("there is nft");
        // It wants a line to end behind a brace.
        let rules = rules
            .replace(" } chain", "\n}\nchain")
            .replace("; }", ";\n}")
            .replace("} }", "}\n}")
            .replace("} chain", "}\nchain");
        child.stdin.take().expect("a pipe").write_all(rules.as_bytes()).expect("written");
        assert!(child.wait().expect("it ends").success(), "{rules}");
    }

    /// Starts a server, and waits until it listens. Its process is returned.
    pub(crate) fn serve(&mut self, place: &str, address: &str, port: u16, options: &str) -> u32 {
        self.serve_with(place, address, port, 5, &[options])
    }

    pub(crate) fn serve_with(
        &mut self,
        place: &str,
        address: &str,
        port: u16,
        backlog: u32,
        more: &[&str],
    ) -> u32 {
        let (port_text, backlog) = (port.to_string(), backlog.to_string());
        let fixed = ["netns", "exec", place, python(), "-c", SERVER, address, &port_text, &backlog];
        let child = Command::new("ip").args(fixed).args(more).spawn().expect("there is Python");
        let pid = child.id();
        self.children.push(child);
        self.wait_for(place, port);
        pid
    }

    pub(crate) fn wait_for(&self, place: &str, port: u16) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.run(place, &format!("ss -Hltn sport = :{port}")).is_empty() {
            assert!(Instant::now() < end, "nobody listens on {port}");
            sleep(Duration::from_millis(50));
        }
    }

    /// Starts a program in a namespace.
    pub(crate) fn start(&mut self, place: &str, words: &[&str]) -> u32 {
        let child = Command::new("ip").args(["netns", "exec", place]).args(words).spawn().expect("it starts");
        let pid = child.id();
        self.children.push(child);
        pid
    }

    /// Runs a Python script in a namespace to its end.
    pub(crate) fn script(&self, place: &str, script: &str) {
        let out = Command::new("ip").args(["netns", "exec", place, python(), "-c", script]).output();
        let out = out.expect("there is Python");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Starts a Python script in a namespace.
    pub(crate) fn start_script(&mut self, place: &str, script: &str) -> u32 {
        self.start(place, &[python(), "-c", script])
    }

    /// Asks from a namespace.
    pub(crate) fn why(&self, place: &str, words: &[&str]) -> Said {
        let mut command = Command::new(wharf());
        Said::read(&command.args(["why", "--json", "--in", place]).args(words).output().expect("wharf runs"))
    }

    /// Whether curl gets an answer, from a namespace.
    pub(crate) fn curl(&self, place: &str, words: &[&str]) -> bool {
        let mut command = Command::new("ip");
        let fixed = ["netns", "exec", place, "curl", "-sS", "-m", "3", "-o", "/dev/null"];
        command.args(fixed).args(words).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Does what was said. A remedy that is a `curl` has to succeed itself; after every other `curl` to `url` has to.
    #[track_caller]
    pub(crate) fn heals(&self, said: &Said, place: &str, url: &[&str]) {
        let remedy = said.remedy();
        let is_curl = remedy.contains("curl ");
        let line =
            if is_curl { remedy.replace("curl ", "curl -sS -m 5 -o /dev/null ") } else { remedy.to_owned() };
        // What it starts goes on, so nobody waits for the end of its output.
        let mut command = Command::new("sh");
        let command =
            command.args(["-c", &line]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().is_ok_and(|status| status.success()), "{line}");
        if is_curl {
            return;
        }
        let end = Instant::now() + Duration::from_secs(20);
        while !self.curl(place, url) {
            assert!(Instant::now() < end, "curl {url:?} fails after {line}");
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in [&self.a, &self.b] {
            // What a remedy has started is in it too.
            let line = format!("ip netns pids {name} | xargs -r kill -9; ip netns delete {name}");
            let _ = Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).status();
        }
    }
}
