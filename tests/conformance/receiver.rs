//! A receiver that answers byte by byte what it is told, HTTP or not.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The answer of a receiver, as the recorded cases state it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    pub status: u16,
    pub json: Option<Value>,
    pub text: Option<String>,
    /// In base64.
    pub bytes: Option<String>,
    pub repeat: Option<(String, usize)>,
    pub headers: serde_json::Map<String, Value>,
    pub gzip: bool,
    /// A path that other requests are sent to.
    pub redirect: Option<String>,
    pub location: Option<String>,
    /// In seconds.
    pub delay: f64,
    pub close: bool,
    pub raw: Option<String>,
    /// Sends the answer in single bytes, this many seconds apart.
    pub trickle: Option<f64>,
}

/// A request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

pub struct Receiver {
    pub address: String,
    received: Arc<Mutex<Vec<Received>>>,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::new(Mutex::default());
        let server = tokio::spawn({
            let received = Arc::clone(&received);
            async move {
                loop {
                    let (connection, _) = listener.accept().await.unwrap();
                    // Who hangs up early is what some cases are about.
                    tokio::spawn(serve(connection, answer.clone(), Arc::clone(&received)));
                }
            }
        });
        Self { address, received, server }
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(connection: TcpStream, answer: Answer, received: Arc<Mutex<Vec<Received>>>) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read(&mut connection).await? {
        let landed = request.target == "/landed";
        received.lock().unwrap().push(request);
        tokio::time::sleep(Duration::from_secs_f64(answer.delay)).await;
        if answer.close {
            // With all that was sent read, the connection ends without a reset.
            return connection.shutdown().await;
        }
        let bytes = if landed { answered(&Answer::landed()) } else { answered(&answer) };
        match answer.trickle {
            Some(pause) => {
                for byte in bytes {
                    connection.write_u8(byte).await?;
                    connection.flush().await?;
                    tokio::time::sleep(Duration::from_secs_f64(pause)).await;
                }
            }
            None => connection.write_all(&bytes).await?,
        }
        connection.flush().await?;
        if answer.raw.is_some() {
            return connection.shutdown().await;
        }
    }
    Ok(())
}

async fn read(connection: &mut BufReader<TcpStream>) -> std::io::Result<Option<Received>> {
    let mut line = async || {
        let mut line = Vec::new();
        connection.read_until(b'\n', &mut line).await?;
        let text: String = line.into_iter().map(char::from).collect();
        std::io::Result::Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let start = line().await?;
    let mut words = start.split(' ').map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = Vec::new();
    loop {
        let header = line().await?;
        match header.split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    connection.read_exact(&mut body).await?;
    Ok(Some(Received { method, target, headers, body: String::from_utf8(body).unwrap() }))
}

impl Answer {
    fn landed() -> Self {
        Self { status: 200, json: Some(serde_json::json!({"landed": true})), ..Self::default() }
    }
}

fn answered(answer: &Answer) -> Vec<u8> {
    if let Some(raw) = &answer.raw {
        return raw.clone().into_bytes();
    }
    let mut body = match answer {
        Answer { json: Some(json), .. } => json.to_string().into_bytes(),
        Answer { text: Some(text), .. } => text.clone().into_bytes(),
        Answer { bytes: Some(bytes), .. } => BASE64_STANDARD.decode(bytes).unwrap(),
        Answer { repeat: Some((text, times)), .. } => text.repeat(*times).into_bytes(),
        _ => Vec::new(),
    };
    let mut head = format!("HTTP/1.1 {} Answer\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap()));
    }
    if let Some(location) = answer.location.as_ref().or(answer.redirect.as_ref()) {
        head.push_str(&format!("Location: {location}\r\n"));
    }
    if answer.gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&body).unwrap();
        body = encoder.finish().unwrap();
        head.push_str("Content-Encoding: gzip\r\n");
    }
    if answer.status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    [head.as_bytes(), b"\r\n", &body].concat()
}
