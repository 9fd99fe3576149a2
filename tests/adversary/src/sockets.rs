//! Connections of strangers and of callers, as raw as an attack needs them. They come from an address of loopback of their own, as
//! other machines would.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Where the attacker connects from.
pub(crate) const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Where the neighbour does.
pub(crate) const NEIGHBOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// Bound on a call, after which it has no answer.
const CALL: Duration = Duration::from_secs(15);

/// Connects from one address to another.
pub(crate) async fn connect(from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4().context("make a socket")?;
    socket.set_reuseaddr(true).context("set up a socket")?;
    socket.bind(SocketAddr::new(from, 0)).with_context(|| format!("bind to {from}"))?;
    socket.connect(to).await.with_context(|| format!("connect to {to}"))
}

/// The text of a request over HTTP/1.1, after which the connection is closed.
pub(crate) fn request(method: &str, path: &str, token: &str, body: Option<&str>) -> String {
    let body = body.unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: api\r\nAuthorization: {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Sends a request and reads the whole answer; the status and the body.
pub(crate) async fn call(from: IpAddr, to: SocketAddr, request: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = connect(from, to).await?;
        stream.write_all(request.as_bytes()).await.context("send a request")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.context("read an answer")?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("find a status")?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        anyhow::Ok((status, body))
    };
    timeout(CALL, exchange).await.context("no answer")?
}
