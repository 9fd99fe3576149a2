//! URLs and names that try to get to where nobody may send.

use super::fixtures::{NOT_SUPPORTED, UNRESOLVED};

/// Ways to spell an address of this machine: they reach it where anything may be reached.
pub(super) const LOCAL: [&str; 40] = [
    "http://127.0.0.1:PORT/",
    "HTTP://127.0.0.1:PORT/x?y#z",
    "http://127.0.0.2:PORT/",
    "http://127.255.255.254:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0X7F000001:PORT/",
    "http://017700000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0x7f.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.0.0.01:PORT/",
    "http://00000177.0x0.0.1:PORT/",
    "http://127.0.0.0x1:PORT/",
    "http://127.0x1:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://0x0:PORT/",
    "http://0x:PORT/",
    "http://00:PORT/",
    "http://user:password@127.0.0.1:PORT/",
    "http://a.example@127.0.0.1:PORT/",
    "http://a.example:80@127.0.0.1:PORT/",
    "http://a.example%40127.0.0.1@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT\\@a.example/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://127%2e0%2E0%2e1:PORT/",
    "http://１２７.０.０.１:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://127。0。0。1:PORT/",
    "http://127．0．0．1:PORT/",
    "http://to-loopback.example:PORT/",
    "http://TO-LOOPBACK.example.:PORT/",
    "http://to-loopb%61ck.example:PORT/",
    "http://localhost:PORT/",
    "http://a.localhost:PORT/",
    "http://to-unspecified.example:PORT/",
];

/// Ways to spell an IPv6 address of this machine, which not every machine has.
pub(super) const LOCAL6: [&str; 8] = [
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:FFFF:7F00:0001]:PORT/",
    "http://[::]:PORT/",
    "http://to-loopback6.example:PORT/",
    "http://to-mapped.example:PORT/",
];

/// URLs that lead elsewhere, and the message that refuses them. None of these is ever to be tried in earnest.
pub(super) const ELSEWHERE: [(&str, &str); 62] = [
    ("http://10.0.0.1/", NOT_SUPPORTED),
    ("http://10.1/", NOT_SUPPORTED),
    ("http://167772161/", NOT_SUPPORTED),
    ("http://012.0.0.1/", NOT_SUPPORTED),
    ("http://172.16.0.1/", NOT_SUPPORTED),
    ("http://192.168.1.1/", NOT_SUPPORTED),
    ("http://0300.0250.1.1/", NOT_SUPPORTED),
    ("http://100.64.0.1/", NOT_SUPPORTED),
    ("http://169.254.169.254/latest/meta-data/", NOT_SUPPORTED),
    ("http://2852039166/latest/meta-data/", NOT_SUPPORTED),
    ("http://0xa9fea9fe/", NOT_SUPPORTED),
    ("http://0xA9.0xFE.0xA9.0xFE/", NOT_SUPPORTED),
    ("http://0251.0376.0251.0376/", NOT_SUPPORTED),
    ("http://169.254.43518/", NOT_SUPPORTED),
    ("http://169.16689662/", NOT_SUPPORTED),
    ("http://100.100.100.200/", NOT_SUPPORTED),
    ("http://168.63.129.16/", NOT_SUPPORTED),
    ("http://192.0.0.192/", NOT_SUPPORTED),
    ("http://192.0.2.1/", NOT_SUPPORTED),
    ("http://198.18.0.1/", NOT_SUPPORTED),
    ("http://224.0.0.1/", NOT_SUPPORTED),
    ("http://240.0.0.1/", NOT_SUPPORTED),
    ("http://255.255.255.255/", NOT_SUPPORTED),
    ("http://4294967295/", NOT_SUPPORTED),
    ("https://10.96.0.1/api", NOT_SUPPORTED),
    ("http://[fd00:ec2::254]/", NOT_SUPPORTED),
    ("http://[fe80::1]/", NOT_SUPPORTED),
    ("http://[fec0::1]/", NOT_SUPPORTED),
    ("http://[fd00::1]/", NOT_SUPPORTED),
    ("http://[ff02::1]/", NOT_SUPPORTED),
    ("http://[::10.0.0.1]/", NOT_SUPPORTED),
    ("http://[::ffff:169.254.169.254]/", NOT_SUPPORTED),
    ("http://[::ffff:0:10.0.0.1]/", NOT_SUPPORTED),
    ("http://[64:ff9b::169.254.169.254]/", NOT_SUPPORTED),
    ("http://[64:ff9b::7f00:1]/", NOT_SUPPORTED),
    ("http://[64:ff9b:1::10.0.0.1]/", NOT_SUPPORTED),
    ("http://[2002:7f00:1::]/", NOT_SUPPORTED),
    ("http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", NOT_SUPPORTED),
    ("http://[2a00::200:5efe:192.168.0.1]/", NOT_SUPPORTED),
    ("http://[100::1]/", NOT_SUPPORTED),
    ("http://[2001:db8::1]/", NOT_SUPPORTED),
    ("http://[fe80::1%25eth0]/", "The url has brackets that hold no IPv6 address"),
    ("http://[::1%251]/", "The url has brackets that hold no IPv6 address"),
    ("http://[::1]a.example/", "The host in the url is not a host name"),
    ("http://[127.0.0.1]/", "The url has brackets that hold no IPv6 address"),
    ("http://4294967296/", UNRESOLVED),
    ("http://127.0.0.256/", UNRESOLVED),
    ("http://0x100000000/", UNRESOLVED),
    ("http://127.0.0.1.1/", UNRESOLVED),
    ("http://127..0.1/", UNRESOLVED),
    ("http://127.0.0.1%00.example/", UNRESOLVED),
    ("http://127.0.0.1%2f.example/", UNRESOLVED),
    ("http://a.example%23@127.0.0.1 /", UNRESOLVED),
    ("http://127.0.0.1\u{200b}.:80/", "The host in the url is not a host name"),
    ("http://a.example\r\nHost: 127.0.0.1/", "The port in the url is not a number"),
    ("//127.0.0.1/", "Malformed url"),
    ("http:127.0.0.1/", "Malformed url"),
    ("http:///127.0.0.1/", "Malformed url"),
    ("file:///etc/passwd", "Malformed url"),
    ("gopher://127.0.0.1:6379/_FLUSHALL", "Malformed url"),
    ("unix:///var/run/docker.sock", "Malformed url"),
    ("http://127.0.0.1:65536/", "The port in the url is over 65535"),
];

/// Names that everybody knows to lead to where nobody may send, and one's own Services that do.
pub(super) const KNOWN: [&str; 7] = [
    "metadata.google.internal",
    "api.cluster.example",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "stolen.team.svc",
    "cloud.team.svc.cluster.local",
    "pod-0.stolen.team.svc",
];

/// Names that lead to where nobody may send, which is not to be learnt from what comes of a request.
pub(super) const NAMES: [&str; 30] = [
    "to-unspecified6.example",
    "to-private.example",
    "to-cgnat.example",
    "to-ula.example",
    "to-link-local.example",
    "to-compatible.example",
    "to-nat64.example",
    "to-6to4.example",
    "to-teredo.example",
    "to-isatap.example",
    "to-multicast.example",
    "to-broadcast.example",
    "to-metadata.example",
    "to-metadata.allowed.example",
    "to-metadata6.allowed.example",
    "TO-AZURE.Allowed.Example.",
    "to-alibaba.allowed.example",
    "to-api.allowed.example",
    "chat.other.svc",
    "chat.other.svc.cluster.local.",
    "chat.team",
    "team.svc",
    "external.team.svc",
    "metadata.team.svc.cluster.local",
    "badallowed.example",
    "allowed.example.evil.example",
    "mixed.example",
    "mixed-first.example",
    "mixed6.example",
    "1.2.3.4.example",
];

/// The message that refuses one of [`LOCAL`] and [`LOCAL6`].
pub(super) fn refusal(url: &str) -> &'static str {
    if url.to_ascii_lowercase().contains("://to-") { UNRESOLVED } else { NOT_SUPPORTED }
}

/// All URLs that are refused, at this port, and the messages.
pub(super) fn tricks(port: u16) -> Vec<(String, &'static str)> {
    let at = |url: &str| url.replace("PORT", &port.to_string());
    let local = LOCAL.iter().chain(&LOCAL6).map(|url| (at(url), refusal(url)));
    let elsewhere = ELSEWHERE.iter().map(|(url, message)| ((*url).to_owned(), *message));
    let known = KNOWN.iter().map(|name| (at(&format!("http://{name}:PORT/")), NOT_SUPPORTED));
    let names = NAMES.iter().map(|name| (at(&format!("http://{name}:PORT/")), UNRESOLVED));
    local.chain(elsewhere).chain(known).chain(names).collect()
}
