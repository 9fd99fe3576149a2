//! Connections of real clients to a server of the test's own.

mod floods;

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{Extension, routing::get};
use clap::Parser;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::TlsConnector;

use super::{limits::MAX_HEADERS, *};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// A limit that tests let pass.
const SHORT: Duration = Duration::from_millis(150);

const GET: &str = "GET / HTTP/1.1\r\nhost: api\r\n\r\n";
const GET_AND_CLOSE: &str = "GET / HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n";

/// A folder for one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Self(env::temp_dir().join(format!("oncall-webhooks-{}-{name}", process::id())));
        let _ = fs::remove_dir_all(&folder.0);
        fs::create_dir(&folder.0).expect("make a folder");
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that runs until it is stopped.
struct Serving {
    address: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<Result<()>>,
    /// How many requests there was no room for.
    refused: Arc<AtomicUsize>,
}

impl Serving {
    async fn new(router: Router, listen: Listen, change: impl FnOnce(&mut Limits)) -> Self {
        Self::bounded(router, listen, bounds(512), change).await
    }

    async fn bounded(router: Router, listen: Listen, bounds: Bounds, change: impl FnOnce(&mut Limits)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refused = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&refused);
        let server = Server::bind(&listen, bounds).await.expect("bind");
        let mut server = server.on_refusal(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        change(&mut server.limits);
        let (address, stop) = (server.local_addr().expect("address"), CancellationToken::new());
        let ended = tokio::spawn(server.serve(router, stop.clone().cancelled_owned()));
        Self { address, stop, ended, refused }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connect")
    }

    /// Connects from another address than all else does.
    async fn connect_from(&self, peer: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((peer, 0))).expect("an address of loopback");
        within(socket.connect(self.address)).await.expect("connect")
    }

    /// Sends something over a new connection.
    async fn say(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.expect("write");
        stream
    }

    async fn end(self) {
        self.stop.cancel();
        within(self.ended).await.expect("no panic").expect("serve");
    }
}

fn listen() -> Listen {
    Listen {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls_certificate: None,
        tls_key: None,
        max_connections: 512,
    }
}

/// Bounds on so many connections, which one peer may have alone, and on more bytes than tests send.
fn bounds(connections: usize) -> Bounds {
    Bounds { connections_each: connections, ..Bounds::within(64 * 1024 * 1024, connections, Vec::new()) }
}

/// Answers with the peer.
fn who() -> Router {
    Router::new().route("/", get(|Extension(peer): Extension<Peer>| async move { format!("{peer:?}") }))
}

/// Requests that wait at a gate.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
}

impl Gate {
    fn new() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), waiting: Arc::default(), peak: Arc::default() }
    }

    fn router(&self) -> Router {
        let gate = self.clone();
        Router::new().route(
            "/",
            get(move || async move {
                gate.pass().await;
                "done"
            }),
        )
    }

    /// Waits at the gate, as its router does.
    async fn pass(&self) {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(waiting, Ordering::SeqCst);
        self.open.acquire().await.expect("a gate").forget();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    async fn until_waiting(&self, count: usize) {
        until(async || self.waiting.load(Ordering::SeqCst) == count).await;
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    within(async {
        while !condition().await {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// All that comes until the end of a connection, which may be a reset.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads an answer that ends in some text from a connection that stays open.
async fn answer(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut bytes = Vec::new();
    within(async {
        while !bytes.ends_with(end.as_bytes()) {
            assert_ne!(stream.read_buf(&mut bytes).await.expect("read"), 0, "{}", String::from_utf8_lossy(&bytes));
        }
    })
    .await;
    String::from_utf8(bytes).expect("text")
}

/// Writes a new certificate and its key; gives its PEM.
fn certify(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("make a certificate");
    fs::write(folder.join("tls.crt"), made.cert.pem()).expect("write the certificate");
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).expect("write the key");
    made.cert.pem()
}

fn listen_with_tls(folder: &Path) -> Listen {
    Listen { tls_certificate: Some(folder.join("tls.crt")), tls_key: Some(folder.join("tls.key")), ..listen() }
}

/// Whether a server shows a certificate to new clients.
async fn shows(address: SocketAddr, pem: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a root");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("connect");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_ok()
}

#[tokio::test]
async fn a_request_is_answered_over_http_1_and_2_and_knows_its_peer() {
    let server = Serving::new(who(), listen(), |_| {}).await;
    let mut stream = server.say(GET_AND_CLOSE).await;
    let peer = Peer { address: stream.local_addr().expect("address"), tls: false };
    let text = rest(&mut stream).await;
    assert_eq!(text.split_once("\r\n\r\n").map(|(_, body)| body), Some(format!("{peer:?}").as_str()), "{text}");

    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let answer = within(client.get(format!("http://{}/", server.address)).send()).await.expect("an answer");
    assert_eq!((answer.version(), answer.status()), (http::Version::HTTP_2, http::StatusCode::OK));
    server.end().await;
}

#[tokio::test]
async fn ipv4_clients_of_an_ipv6_listener_are_ipv4_peers() {
    let Ok(probe) = TcpListener::bind("[::]:0").await else {
        return; // There is no IPv6 here.
    };
    drop(probe);
    let address = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0));
    let server = Serving::new(who(), Listen { address, ..listen() }, |_| {}).await;
    let target = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    let mut stream = TcpStream::connect(target).await.expect("connect");
    stream.write_all(GET_AND_CLOSE.as_bytes()).await.expect("write");
    let peer = Peer { address: stream.local_addr().expect("address"), tls: false };
    let text = rest(&mut stream).await;
    assert_eq!(text.split_once("\r\n\r\n").map(|(_, body)| body), Some(format!("{peer:?}").as_str()), "{text}");
    server.end().await;
}

#[tokio::test]
async fn clients_that_keep_silent_are_cut_off() {
    let server = Serving::new(who(), listen(), |limits| {
        (limits.head, limits.idle, limits.close) = (SHORT, SHORT, SHORT);
    })
    .await;
    let http_2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    for (case, sent) in [
        ("nothing", ""),
        ("half of a head", "GET / HTTP/1.1\r\nhost:"),
        ("half of the preface of HTTP/2", &http_2[..12]),
        ("the preface of HTTP/2 without settings", &http_2[..24]),
        ("HTTP/2 without requests", http_2),
    ] {
        let mut stream = server.say(sent).await;
        let text = rest(&mut stream).await;
        assert!(!text.contains("200 OK"), "{case}: {text}");
    }
    let mut stream = server.say(GET).await;
    let text = rest(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "idle keep-alive: {text}");
    server.end().await;
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let server = Serving::new(who(), listen(), |limits| limits.head = SHORT).await;
    let mut stream = server.say("GET / HTTP/1.1\r\n").await;
    within(async {
        while stream.write_all(b"a: b\r\n").await.is_ok() {
            sleep(SHORT / 10).await;
        }
    })
    .await;
    server.end().await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = Serving::new(who(), listen(), |_| {}).await;
    let (head, bound) = (GET_AND_CLOSE.trim_end().to_owned() + "\r\na: ", MAX_HEADERS as usize);
    for (case, sent, expected) in [
        ("below", head.clone() + &"b".repeat(bound / 2) + "\r\n\r\n", "HTTP/1.1 200 OK"),
        // Exactly as much as the server reads: a rest would reset the connection, and the answer with it.
        ("above", head.clone() + &"b".repeat(bound - head.len()), "HTTP/1.1 431 Request Header Fields Too Large"),
    ] {
        let mut stream = server.say(&sent).await;
        assert_eq!(rest(&mut stream).await.lines().next(), Some(expected), "{case}");
    }
    server.end().await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_does_not_keep_its_connection() {
    // More than the buffers of both ends hold.
    const SIZE: usize = 64 * 1024 * 1024;
    let router = Router::new().route("/", get(|| async { "a".repeat(SIZE) }));
    let server = Serving::new(router, listen(), |limits| {
        (limits.head, limits.idle, limits.close) = (SHORT, SHORT, SHORT);
    })
    .await;
    let mut unread = server.say(GET).await;
    // What is written to a connection that is gone fails.
    until(async || unread.write_all(b" ").await.is_err()).await;
    assert!(rest(&mut unread).await.len() < SIZE);
    server.end().await;
}

#[tokio::test]
async fn an_answer_without_a_window_does_not_keep_its_connection() {
    let gate = Gate::new();
    gate.open.add_permits(1);
    let server = Serving::new(gate.router(), listen(), |limits| {
        (limits.head, limits.idle, limits.close) = (SHORT, SHORT, SHORT);
    })
    .await;
    let bytes = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0", // SETTINGS_INITIAL_WINDOW_SIZE is 0.
        b"\0\0\x08\x01\x05\0\0\0\x01\x82\x86\x84\x41\x03api", // HEADERS: GET http://api/
    ]
    .concat();
    let mut stream = server.say(bytes).await;
    let text = rest(&mut stream).await;
    assert_eq!((gate.peak.load(Ordering::SeqCst), gate.open.available_permits()), (1, 0));
    assert!(!text.contains("done"), "{text}");
    server.end().await;
}

#[tokio::test]
async fn a_request_may_run_longer_than_connections_may_be_idle() {
    let gate = Gate::new();
    let server = Serving::new(gate.router(), listen(), |limits| {
        (limits.head, limits.idle, limits.close) = (SHORT, SHORT, SHORT);
    })
    .await;
    let mut stream = server.say(GET_AND_CLOSE).await;
    gate.until_waiting(1).await;
    sleep(SHORT * 5).await;
    gate.open.add_permits(1);
    assert!(rest(&mut stream).await.ends_with("\r\n\r\ndone"));
    server.end().await;
}

#[tokio::test]
async fn connections_over_the_bound_wait_for_one_to_end() {
    let gate = Gate::new();
    let server = Serving::bounded(gate.router(), listen(), bounds(2), |limits| limits.settle = PATIENCE).await;
    let mut streams = Vec::new();
    for _ in 0..6 {
        streams.push(server.say(GET_AND_CLOSE).await);
    }
    gate.until_waiting(2).await;
    gate.open.add_permits(6);
    for (at, stream) in streams.iter_mut().enumerate() {
        let text = rest(stream).await;
        assert!(text.ends_with("\r\n\r\ndone"), "{at}: {text:?}");
    }
    assert_eq!(gate.peak.load(Ordering::SeqCst), 2);
    server.end().await;
}

#[tokio::test]
async fn stopping_finishes_what_runs_and_closes_all_else() {
    let gate = Gate::new();
    let server = Serving::new(gate.router(), listen(), |_| {}).await;
    gate.open.add_permits(1);
    let mut idle = server.say(GET).await;
    answer(&mut idle, "\r\n\r\ndone").await;
    let mut silent = server.connect().await;
    let mut running = server.say(GET).await;
    gate.until_waiting(1).await;

    server.stop.cancel();
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut silent).await, "");
    let refused = TcpStream::connect(server.address).await.map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
    assert!(!server.ended.is_finished());

    gate.open.add_permits(1);
    let text = rest(&mut running).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\ndone"), "{text}");
    server.end().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let gate = Gate::new();
    let server = Serving::new(gate.router(), listen(), |limits| limits.close = SHORT).await;
    let mut running = server.say(GET).await;
    gate.until_waiting(1).await;
    server.end().await;
    assert_eq!(rest(&mut running).await, "");
}

#[tokio::test]
async fn tls_is_spoken_with_http_2_and_1_and_is_known_to_requests() {
    let folder = Folder::new("tls");
    let pem = certify(&folder.0);
    let server = Serving::new(who(), listen_with_tls(&folder.0), |limits| limits.handshake = SHORT).await;
    // This one never says hello.
    let mut silent = server.connect().await;
    for (http_1_only, version) in [(false, http::Version::HTTP_2), (true, http::Version::HTTP_11)] {
        let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).expect("PEM");
        let builder =
            reqwest::Client::builder().tls_certs_only([certificate]).resolve("localhost", server.address).no_proxy();
        let client = if http_1_only { builder.http1_only() } else { builder }.build().expect("a client");
        let url = format!("https://localhost:{}/", server.address.port());
        let answer = within(client.get(url).send()).await.expect("an answer");
        assert_eq!(answer.version(), version);
        let text = answer.text().await.expect("text");
        assert!(text.ends_with("tls: true }"), "{text}");
    }
    assert_eq!(rest(&mut silent).await, "");
    server.end().await;
}

#[tokio::test]
async fn new_clients_see_a_new_certificate_as_kubernetes_mounts_it() {
    let folder = Folder::new("reload");
    let [first, second] = ["1", "2"].map(|version| {
        fs::create_dir(folder.0.join(version)).expect("make a folder");
        certify(&folder.0.join(version))
    });
    // A Secret's files are links through `..data`, which is swapped.
    let (data, next) = (folder.0.join("..data"), folder.0.join("..data_tmp"));
    symlink("1", &data).expect("link");
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), folder.0.join(name)).expect("link");
    }
    let server =
        Serving::new(who(), listen_with_tls(&folder.0), |limits| limits.reload = Duration::from_millis(10)).await;
    assert!(shows(server.address, &first).await);
    symlink("2", &next).expect("link");
    fs::rename(&next, &data).expect("swap");
    until(async || shows(server.address, &second).await).await;
    assert!(!shows(server.address, &first).await);
    server.end().await;
}

#[tokio::test]
async fn errors_at_the_start_name_the_file_or_the_address() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = Folder::new("errors");
    certify(&folder.0);
    let said = async |listen: Listen| match Server::bind(&listen, bounds(1)).await {
        Ok(_) => panic!("it started"),
        Err(error) => format!("{error:#}").replace(&folder.0.display().to_string(), "…"),
    };
    let tls = listen_with_tls(&folder.0);

    let absent = Listen { tls_certificate: Some(folder.0.join("absent.crt")), ..tls.clone() };
    assert_eq!(said(absent).await, "read TLS certificate …/absent.crt: No such file or directory (os error 2)");
    let absent = Listen { tls_key: Some(folder.0.join("absent.key")), ..tls.clone() };
    assert_eq!(said(absent).await, "read TLS key …/absent.key: No such file or directory (os error 2)");
    let same = Listen { tls_key: tls.tls_certificate.clone(), ..tls.clone() };
    assert_eq!(said(same).await, "no private key in TLS key …/tls.crt: give PEM without a passphrase");
    let half = Listen { tls_key: None, ..tls };
    assert_eq!(said(half).await, "set up TLS: give both --tls-certificate and --tls-key, or neither");

    let taken = TcpListener::bind(listen().address).await.expect("bind");
    let address = taken.local_addr().expect("address");
    assert_eq!(
        said(Listen { address, ..listen() }).await,
        format!(
            "listen on address {address} of the REST API: free it, or give another with --address: \
             Address already in use (os error 98)"
        )
    );
}

#[test]
fn a_certificate_goes_with_its_key_and_there_is_room_for_a_connection() {
    #[derive(Debug, clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        listen: Listen,
    }
    let parse = |arguments: &[&str]| {
        let arguments = Arguments::try_parse_from([&["api"], arguments].concat());
        arguments.map(|Arguments { listen }| format!("{listen:?}")).map_err(|error| error.kind())
    };
    let listen = Listen { address: SocketAddr::from(([0, 0, 0, 0], 8081)), ..listen() };
    let tls = Listen { tls_certificate: Some("a".into()), tls_key: Some("b".into()), ..listen };
    assert_eq!(parse(&[]), Ok(format!("{listen:?}")));
    assert_eq!(parse(&["--tls-certificate=a", "--tls-key=b"]), Ok(format!("{tls:?}")));
    assert_eq!(parse(&["--tls-certificate=a"]), Err(clap::error::ErrorKind::MissingRequiredArgument));
    assert_eq!(parse(&["--tls-key=b"]), Err(clap::error::ErrorKind::MissingRequiredArgument));
    assert_eq!(parse(&["--max-connections=0"]), Err(clap::error::ErrorKind::ValueValidation));
}
