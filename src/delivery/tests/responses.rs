//! How answers are read.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::fixtures::{Listener, get, hostile_names, mk_sender, names};
use crate::{
    core::address::AddressPolicy,
    delivery::{ProxySettings, response::QUICK},
};

#[tokio::test]
async fn a_long_answer_is_decoded_as_a_short_one_is() {
    let gzip = |text: &[u8]| {
        let mut out = GzEncoder::new(Vec::new(), Compression::none());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    };
    let sender = mk_sender(AddressPolicy::unrestricted(), &ProxySettings::default(), names(hostile_names).0);
    for (length, encodings, body) in [
        (100, "gzip", gzip(&[b'a'; 100])),
        (QUICK, "gzip", gzip(&[b'a'; QUICK])),
        (100, "gzip, gzip", gzip(&gzip(&[b'a'; 100]))),
    ] {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encodings}\r\nContent-Length: {}\r\n\r\n", body.len());
        let receiver = Listener::new("127.0.0.1:0", [head.into_bytes(), body].concat()).await;
        let found = get(&sender, &format!("http://127.0.0.1:{}/", receiver.port)).await;
        assert_eq!(found, format!("200 {}", "a".repeat(length)), "{encodings}");
    }
}
