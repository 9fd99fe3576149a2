//! A proxy on loopback that tunnels: keeps what it was asked for, and leads where it is told.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The first line without the version, such as `CONNECT 93.184.216.34:443`.
    pub line: String,
    /// `Proxy-Authorization`.
    pub credentials: Option<String>,
}

type Lead = dyn Fn(&Asked) -> Result<SocketAddr, u16> + Send + Sync;

/// Listens until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of loopback and leads each request to the address that `lead` gives, or answers with its
    /// status code.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(lead: impl Fn(&Asked) -> Result<SocketAddr, u16> + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listen on loopback")?;
        let address = listener.local_addr()?;
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (lead, kept): (Arc<Lead>, _) = (Arc::new(lead), Arc::clone(&asked));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (lead, kept) = (Arc::clone(&lead), Arc::clone(&kept));
                // Tests notice what does not arrive.
                tokio::spawn(async move {
                    let _ = serve(stream, &*lead, &kept).await;
                });
            }
        });
        Ok(Self { address, asked, server })
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests to the proxy, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// The first lines of that.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, lead: &Lead, kept: &Mutex<Vec<Asked>>) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let mut lines = head.lines();
    let line = lines.next().and_then(|line| line.rsplit_once(' ')).context("a first line")?.0.to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.to_owned())
    };
    let asked = Asked { line, credentials: lines.find_map(header) };
    let lead = if asked.line.starts_with("CONNECT ") { lead(&asked) } else { Err(405) };
    kept.lock().push(asked);
    match lead {
        Ok(address) => {
            let mut to = TcpStream::connect(address).await?;
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            copy_bidirectional(&mut stream, &mut to).await?;
            Ok(())
        }
        Err(code) => {
            stream.write_all(format!("HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n").as_bytes()).await?;
            bail!("refused")
        }
    }
}
