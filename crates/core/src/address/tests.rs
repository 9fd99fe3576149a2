use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;
use proptest::prelude::*;
use url::Host;

use super::{
    networks::{METADATA, NETWORKS},
    *,
};
use crate::request_url::RequestUrl;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn policy(addresses: &[&str], hosts: &[&str]) -> AddressPolicy {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let hosts = hosts.iter().map(|text| text.parse().unwrap()).collect();
    AddressPolicy::new("cluster.local")
        .allow(addresses, hosts)
        .guard_api_server([ip("10.96.0.1"), ip("203.0.114.5")], ["api.example.com"])
}

/// Judges an address as if each Service of the own namespace leads to a pod of that namespace.
fn judge(
    policy: &AddressPolicy,
    namespace: Option<&str>,
    host: Option<&str>,
    address: IpAddr,
) -> Result<(), RefusedAddress> {
    let is_service = namespace.zip(host).is_some_and(|(of, host)| policy.own_service(of, host).is_some());
    policy.judge(namespace, host, address, is_service)
}

/// One address of each network that is refused; of some, the first and the last.
const REFUSED: [(&str, &str); 65] = [
    ("0.0.0.0", "unspecified (RFC 791)"),
    ("0.255.255.255", "unspecified (RFC 791)"),
    ("10.0.0.0", "private (RFC 1918)"),
    ("10.255.255.255", "private (RFC 1918)"),
    ("100.64.0.0", "shared by a carrier's customers (RFC 6598)"),
    ("100.127.255.255", "shared by a carrier's customers (RFC 6598)"),
    ("127.0.0.1", "loopback (RFC 1122)"),
    ("127.255.255.255", "loopback (RFC 1122)"),
    ("169.254.0.1", "link-local, where clouds have their metadata"),
    ("169.254.169.254", "link-local, where clouds have their metadata"),
    ("172.16.0.1", "private (RFC 1918)"),
    ("172.31.255.255", "private (RFC 1918)"),
    ("192.0.0.8", "for protocols (RFC 6890)"),
    ("192.0.0.192", "Oracle Cloud's metadata"),
    ("192.0.2.1", "for documentation (RFC 5737)"),
    ("192.88.99.1", "a relay of 6to4 (RFC 7526)"),
    ("192.168.255.255", "private (RFC 1918)"),
    ("198.18.0.1", "for benchmarks (RFC 2544)"),
    ("198.19.255.255", "for benchmarks (RFC 2544)"),
    ("198.51.100.7", "for documentation (RFC 5737)"),
    ("203.0.113.7", "for documentation (RFC 5737)"),
    ("224.0.0.1", "multicast (RFC 5771)"),
    ("239.255.255.255", "multicast (RFC 5771)"),
    ("240.0.0.1", "reserved (RFC 1112)"),
    ("255.255.255.254", "reserved (RFC 1112)"),
    ("255.255.255.255", "broadcast (RFC 919)"),
    ("100.100.100.200", "Alibaba Cloud's metadata"),
    ("168.63.129.16", "Azure's metadata"),
    ("10.96.0.1", API_SERVER),
    ("203.0.114.5", API_SERVER),
    ("::", "unspecified (RFC 4291)"),
    ("::1", "loopback (RFC 4291)"),
    ("::2", "an IPv4-compatible address (RFC 4291)"),
    ("::808:808", "an IPv4-compatible address (RFC 4291)"),
    ("::ffff:0:808:808", "an IPv4-translated address (RFC 2765)"),
    ("::1:0:0:1", "not assigned (RFC 4291)"),
    ("64:ff9b:1::808:808", "for a site's own NAT64 (RFC 8215)"),
    ("64:ff9b:2::1", "not assigned (RFC 4291)"),
    ("100::1", "for what is discarded (RFC 6666)"),
    ("100:0:0:1::1", "not assigned (RFC 4291)"),
    ("2001:0:808:808::", "a Teredo address (RFC 4380)"),
    ("2001:2::1", "for protocols (RFC 2928)"),
    ("2001:10::1", "for protocols (RFC 2928)"),
    ("2001:20::1", "for protocols (RFC 2928)"),
    ("2001:1ff:ffff::1", "for protocols (RFC 2928)"),
    ("2001:db8::1", "for documentation (RFC 3849)"),
    ("2002:808:808::1", "a 6to4 address (RFC 3056)"),
    ("3fff::1", "for documentation (RFC 9637)"),
    ("3fff:fff:ffff::1", "for documentation (RFC 9637)"),
    ("4000::1", "not assigned (RFC 4291)"),
    ("5f00::1", "not assigned (RFC 4291)"),
    ("fc00::1", "private (RFC 4193)"),
    ("fd12:3456::1", "private (RFC 4193)"),
    ("fd00:ec2::254", "AWS's metadata"),
    ("fd00:ec2::23", "AWS's metadata"),
    ("fd20:ce::254", "Google Cloud's metadata"),
    ("fd00:42::42", "Scaleway's metadata"),
    ("fd00:c1::a9fe:a9fe", "Oracle Cloud's metadata"),
    ("fd00:100::100:200", "Alibaba Cloud's metadata"),
    ("fd00:a9fe:a9fe::1", "Akamai's metadata"),
    ("fe80::1", "link-local (RFC 4291)"),
    ("fe80::a9fe:a9fe", "OpenStack's metadata"),
    ("febf:ffff::1", "link-local (RFC 4291)"),
    ("fec0::1", "site-local (RFC 3879)"),
    ("ff02::1", "multicast (RFC 4291)"),
];

const OPEN: [&str; 24] = [
    "1.0.0.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2a00::1",
    "3ffe::1",
    "64:ff9b::808:808",
];

#[test]
fn only_public_addresses_are_reached_unless_others_are_allowed() {
    let policy = policy(&[], &[]);
    for (address, what) in REFUSED {
        let address = ip(address);
        assert_eq!(judge(&policy, Some("team"), None, address), Err(RefusedAddress { address, what }), "{address}");
        assert!(judge(&policy, None, Some("a.example"), address).is_err(), "{address}");
    }
    for address in OPEN {
        assert_eq!(judge(&policy, None, None, ip(address)), Ok(()), "{address}");
        assert_eq!(judge(&policy, Some("team"), Some("a.example"), ip(address)), Ok(()), "{address}");
    }
    assert_eq!(judge(&AddressPolicy::unrestricted(), None, None, ip("127.0.0.1")), Ok(()));
}

/// Every IPv6 form in which an IPv4 address can stand, except for forms that a site defines itself.
fn forms(inner: Ipv4Addr) -> [(&'static str, Ipv6Addr); 12] {
    let [a, b, c, d] = inner.octets();
    let join = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let (high, low) = (join(a, b), join(c, d));
    let v6 = |segments: [u16; 8]| Ipv6Addr::from(segments);
    [
        ("mapped", v6([0, 0, 0, 0, 0, 0xffff, high, low])),
        ("compatible", v6([0, 0, 0, 0, 0, 0, high, low])),
        ("translated", v6([0, 0, 0, 0, 0xffff, 0, high, low])),
        ("NAT64", v6([0x64, 0xff9b, 0, 0, 0, 0, high, low])),
        ("local NAT64 /96", v6([0x64, 0xff9b, 1, 0x808, 8, 0x800, high, low])),
        ("local NAT64 /64", v6([0x64, 0xff9b, 1, 0x808, join(0, a), join(b, c), join(d, 0), 0])),
        ("local NAT64 /56", v6([0x64, 0xff9b, 1, join(8, a), join(0, b), join(c, d), 0, 0])),
        ("local NAT64 /48", v6([0x64, 0xff9b, 1, high, join(0, c), join(d, 0), 0, 0])),
        ("6to4", v6([0x2002, high, low, 0, 0, 0, 0, 1])),
        ("Teredo's client", v6([0x2001, 0, 0x808, 0x808, 0, 0, !high, !low])),
        ("ISATAP", v6([0x2a00, 1, 2, 3, 0, 0x5efe, high, low])),
        ("ISATAP, global", v6([0x2a00, 1, 2, 3, 0x200, 0x5efe, high, low])),
    ]
}

#[test]
fn an_ipv4_address_counts_in_every_ipv6_form() {
    let refused = policy(&[], &[]);
    // Allows every form, so that only the address inside can be the reason.
    let allowed = policy(&["::/0"], &[]);
    let inner = |(address, _): (&str, &str)| address.parse::<Ipv4Addr>().ok();
    for inner in REFUSED.into_iter().filter_map(inner) {
        for (form, address) in forms(inner) {
            // `::` and `::1` are addresses of their own.
            if form == "compatible" && inner.octets() == [0; 4] {
                continue;
            }
            for policy in [&refused, &allowed] {
                assert!(judge(policy, None, None, address.into()).is_err(), "{inner} in {form}: {address}");
            }
        }
        let server = [&[0x20, 1, 0, 0][..], &inner.octets(), &[0; 4], &[0xf7; 4]].concat();
        let server = Ipv6Addr::from(<[u8; 16]>::try_from(server).unwrap());
        assert!(judge(&allowed, None, None, server.into()).is_err(), "{inner} as Teredo's server: {server}");
    }
    for (form, address) in forms(Ipv4Addr::new(8, 8, 8, 8)) {
        let open = matches!(form, "mapped" | "NAT64" | "ISATAP" | "ISATAP, global");
        assert_eq!(judge(&refused, None, None, address.into()).is_ok(), open, "{form}");
    }
    let inside = policy(&["10.0.0.0/8"], &[]);
    assert_eq!(judge(&inside, None, None, ip("64:ff9b::10.1.2.3")), Ok(()));
    assert_eq!(judge(&inside, None, None, ip("::ffff:10.1.2.3")), Ok(()));
}

/// Any IPv4 address in a network that is refused.
fn refused() -> impl Strategy<Value = Ipv4Addr> {
    let nets: Vec<Ipv4Net> = NETWORKS
        .iter()
        .chain(METADATA)
        .filter_map(|network| match network.net {
            IpNet::V4(net) if network.kind != NetworkKind::Public => Some(net),
            _ => None,
        })
        .collect();
    let inside =
        |(net, bits): (Ipv4Net, u32)| Ipv4Addr::from(u32::from(net.network()) | bits & u32::from(net.hostmask()));
    (prop::sample::select(nets), any::<u32>()).prop_map(inside)
}

/// `inner` in every IPv6 form that leaves some bits of the address free; these are taken from `free`.
fn spread(inner: Ipv4Addr, free: u128) -> Vec<(&'static str, Ipv6Addr)> {
    let free = free.to_be_bytes();
    let with = |fixed: &[(usize, u8)]| {
        let mut octets = free;
        fixed.iter().for_each(|(at, octet)| octets[*at] = *octet);
        Ipv6Addr::from(octets)
    };
    let [a, b, c, d] = inner.octets();
    let last = [(12, a), (13, b), (14, c), (15, d)];
    let local = [(0, 0), (1, 0x64), (2, 0xff), (3, 0x9b), (4, 0), (5, 1)];
    let teredo = [(0, 0x20), (1, 1), (2, 0), (3, 0)];
    let isatap = [&[(8, 0), (9, 0), (10, 0x5e), (11, 0xfe)], &last[..]].concat();
    let six_to_four = [(0, 0x20), (1, 2)];
    vec![
        ("local NAT64 /96", with(&[&local, &last[..]].concat())),
        ("local NAT64 /64", with(&[&local[..], &[(9, a), (10, b), (11, c), (12, d)]].concat())),
        ("local NAT64 /56", with(&[&local[..], &[(7, a), (9, b), (10, c), (11, d)]].concat())),
        ("local NAT64 /48", with(&[&local[..], &[(6, a), (7, b), (9, c), (10, d)]].concat())),
        ("6to4", with(&[&six_to_four[..], &[(2, a), (3, b), (4, c), (5, d)]].concat())),
        ("Teredo's server", with(&[&teredo[..], &[(4, a), (5, b), (6, c), (7, d)]].concat())),
        ("Teredo's client", with(&[&teredo[..], &[(12, !a), (13, !b), (14, !c), (15, !d)]].concat())),
        ("ISATAP", with(&isatap)),
        ("ISATAP below 6to4", with(&[&isatap[..], &six_to_four].concat())),
        ("ISATAP below Teredo", with(&[&isatap[..], &teredo].concat())),
    ]
}

/// `address` in a notation of `inet_aton`: so many numbers, of which the last holds the bytes that the others leave, each
/// decimal, octal or hexadecimal.
fn noted(address: Ipv4Addr, numbers: usize, bases: [u8; 4]) -> String {
    let octets = address.octets();
    let (first, rest) = octets.split_at(numbers - 1);
    let last = rest.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
    let number = |(number, base): (u32, u8)| match base {
        0 => format!("{number}"),
        1 => format!("0{number:o}"),
        2 => format!("000{number:o}"),
        3 => format!("0x{number:x}"),
        _ => format!("0X00{number:X}"),
    };
    let numbers = first.iter().copied().map(u32::from).chain([last]).zip(bases);
    numbers.map(number).collect::<Vec<_>>().join(".")
}

proptest! {
    #[test]
    fn a_refused_ipv4_address_is_refused_in_every_ipv6_form(inner in refused(), free in any::<u128>()) {
        let allowed = policy(&["::/0"], &[]);
        for (form, address) in forms(inner).into_iter().chain(spread(inner, free)) {
            prop_assert!(judge(&policy(&[], &[]), None, None, address.into()).is_err(), "{inner} in {form}: {address}");
            // Here only the address inside can be the reason. `::` and `::1` hold no IPv4 address.
            if !matches!(u128::from(address), 0 | 1) {
                prop_assert!(judge(&allowed, None, None, address.into()).is_err(), "{inner} in {form}: {address}");
            }
        }
    }

    #[test]
    fn an_ipv4_address_is_judged_as_itself_in_every_notation(
        address in prop_oneof![refused(), any::<u32>().prop_map(Ipv4Addr::from)],
        numbers in 1_usize..=4,
        bases in any::<[u8; 4]>().prop_map(|bases| bases.map(|base| base % 5)),
        spelling in 0..4,
    ) {
        let noted = noted(address, numbers, bases);
        let host = match spelling {
            0 => noted,
            1 => format!("{noted}."),
            2 => noted.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            // The wide forms, from U+FF01 on.
            _ => noted.bytes().filter_map(|byte| char::from_u32(0xff00 + u32::from(byte) - 0x20)).collect(),
        };
        let uri = RequestUrl::parse(&format!("http://{host}:80/x"));
        let found = uri.map(|uri| Host::parse(uri.host()));
        prop_assert_eq!(found, Ok(Ok(Host::Ipv4(address))), "{}", host);
    }
}

#[test]
fn an_allowance_holds_for_its_namespace_and_opens_no_guarded_address() {
    let policy = policy(
        &["10.1.0.0/16", "team=192.168.0.0/16", "127.0.0.0/8", "10.96.0.0/12", "0.0.0.0/0", "fd00::/8"],
        &["example.com", "team=inside.test"],
    );
    let allowed: Vec<AllowedAddress> = policy.addresses[..4].to_vec();
    let narrow = AddressPolicy { addresses: allowed, ..policy.clone() };
    // Policy, namespace, host, address, whether a request may go there.
    let cases = [
        (&narrow, "team", None, "10.1.2.3", true),
        (&narrow, "other", None, "10.1.2.3", true),
        (&narrow, "team", None, "10.2.0.1", false),
        (&narrow, "team", None, "192.168.1.1", true),
        (&narrow, "other", None, "192.168.1.1", false),
        (&narrow, "tea", None, "192.168.1.1", false),
        (&narrow, "", None, "192.168.1.1", false),
        (&narrow, "team", None, "127.0.0.1", true),
        (&narrow, "team", Some("example.com"), "172.16.0.1", true),
        (&narrow, "team", Some("a.b.EXAMPLE.com."), "172.16.0.1", true),
        (&narrow, "team", Some("badexample.com"), "172.16.0.1", false),
        (&narrow, "team", Some("example.com.evil.test"), "172.16.0.1", false),
        (&narrow, "team", Some("com"), "172.16.0.1", false),
        (&narrow, "team", Some("a.inside.test"), "172.16.0.1", true),
        (&narrow, "other", Some("a.inside.test"), "172.16.0.1", false),
        // Guarded addresses have to be named one by one.
        (&narrow, "team", None, "10.96.0.1", false),
        (&narrow, "team", None, "10.96.0.2", true),
        (&policy, "team", None, "10.96.0.1", false),
        (&policy, "team", None, "169.254.169.254", false),
        (&policy, "team", None, "168.63.129.16", false),
        (&policy, "team", None, "fd00:ec2::254", false),
        (&policy, "team", None, "fd00:ec3::254", true),
        (&policy, "team", Some("a.example.com"), "169.254.169.254", false),
        (&policy, "team", Some("a.example.com"), "10.96.0.1", false),
        // A name opens the service it belongs to, not whatever address it may resolve to.
        (&policy, "team", Some("example.com"), "169.254.169.254", false),
        (&policy, "team", Some("inside.test"), "10.96.0.1", false),
        (&policy, "team", Some("api.example.com"), "1.2.3.4", false),
        (&policy, "default", Some("kubernetes.default.svc"), "1.2.3.4", false),
        (&policy, "default", Some("Kubernetes.default.svc.cluster.local."), "10.1.2.3", false),
    ];
    for (policy, namespace, host, address, expected) in cases {
        let found = judge(policy, Some(namespace), host, ip(address));
        assert_eq!(found.is_ok(), expected, "{namespace} {host:?} {address}: {found:?}");
    }
    let named = AddressPolicy::new("cluster.local").allow(
        ["169.254.169.254/32", "fd00:ec2::254", "team=10.96.0.1"].map(|text| text.parse().unwrap()).to_vec(),
        ["api.example.com", "metadata.google.internal"].map(|text| text.parse().unwrap()).to_vec(),
    );
    let named = named.guard_api_server([ip("10.96.0.1")], ["api.example.com"]);
    for (namespace, host, address, expected) in [
        ("team", None, "169.254.169.254", true),
        ("team", None, "::ffff:169.254.169.254", true),
        ("team", None, "64:ff9b::169.254.169.254", true),
        ("team", None, "169.254.169.253", false),
        ("team", None, "fd00:ec2::254", true),
        ("team", None, "fd00:ec2::23", false),
        ("team", None, "10.96.0.1", true),
        ("team", Some("kubernetes.default.svc"), "10.96.0.1", true),
        ("other", None, "10.96.0.1", false),
        ("other", Some("api.example.com"), "10.96.0.1", true),
        ("other", Some("api.example.com"), "100.100.100.200", false),
        ("other", Some("metadata.google.internal"), "fd20:ce::254", true),
        ("other", Some("metadata.google.internal"), "10.96.0.1", false),
    ] {
        let found = judge(&named, Some(namespace), host, ip(address));
        assert_eq!(found.is_ok(), expected, "{namespace} {host:?} {address}: {found:?}");
    }
}

#[test]
fn closed_addresses_and_hosts_stay_closed_unless_each_is_allowed_by_itself() {
    let closed = ["93.184.0.0/16", "10.1.0.0/16"].map(|text| parse_network(text).unwrap()).to_vec();
    let policy = policy(&["10.0.0.0/8", "93.184.216.34", "team=10.1.2.3"], &["corp.example", "named.eks.example"])
        .close(closed, vec![parse_host_suffix("eks.example").unwrap(), parse_host_suffix("a.corp.example").unwrap()]);
    let cases = [
        ("team", None, "93.184.216.33", Some(CLOSED)),
        ("team", None, "93.184.216.34", None),
        ("team", None, "10.1.2.4", Some(CLOSED)),
        ("team", None, "10.1.2.3", None),
        ("other", None, "10.1.2.3", Some(CLOSED)),
        ("team", None, "10.2.2.4", None),
        ("team", Some("b.corp.example"), "10.1.2.4", Some(CLOSED)),
        ("team", Some("a.corp.example"), "8.8.8.8", Some(CLOSED)),
        ("team", Some("b.corp.example"), "8.8.8.8", None),
        ("team", Some("A.eks.example."), "8.8.8.8", Some(CLOSED)),
        ("team", Some("a.eks.example"), "93.184.216.34", Some(CLOSED)),
        ("team", Some("named.eks.example"), "8.8.8.8", None),
        ("team", Some("named.eks.example"), "10.2.2.4", None),
        ("team", Some("named.eks.example"), "93.184.216.33", Some(CLOSED)),
    ];
    for (namespace, host, address, what) in cases {
        let address = ip(address);
        let expected = what.map_or(Ok(()), |what| Err(RefusedAddress { address, what }));
        assert_eq!(judge(&policy, Some(namespace), host, address), expected, "{namespace} {host:?} {address}");
    }
    assert_eq!(
        parse_network("10.1.2.3/8").unwrap_err(),
        "10.1.2.3/8 is an address and a length: the network is 10.0.0.0/8"
    );
}

#[test]
fn a_webhook_reaches_the_services_of_its_own_namespace_unless_that_is_denied() {
    let policy = policy(&[], &[]);
    let cases = [
        ("team", "chat.team.svc", "10.96.7.7", true),
        ("team", "Chat.Team.svc.cluster.local.", "10.96.7.7", true),
        ("team", "pod-0.chat.team.svc", "fd00::7", true),
        ("team", "chat.team.svc", "100.64.0.9", true),
        ("team", "chat.team.svc", "100.100.100.200", false),
        ("team", "chat.team.svc", "240.0.0.9", true),
        ("other", "chat.team.svc", "10.96.7.7", false),
        ("am", "chat.team.svc", "10.96.7.7", false),
        ("team", "team.svc", "10.96.7.7", false),
        ("team", ".team.svc", "10.96.7.7", false),
        ("team", "chat..team.svc", "10.96.7.7", false),
        ("team", "chat.team.svc.other.local", "10.96.7.7", false),
        ("team", "chat.team.svccluster.local", "10.96.7.7", false),
        ("team", "chat.team", "10.96.7.7", false),
        ("team", "chat.xteam.svc", "10.96.7.7", false),
        ("", "chat..svc", "10.96.7.7", false),
        // No Service has these addresses, but one of type ExternalName may name them.
        ("team", "chat.team.svc", "127.0.0.1", false),
        ("team", "chat.team.svc", "169.254.169.254", false),
        ("team", "chat.team.svc", "fd00:ec2::254", false),
        ("team", "chat.team.svc", "10.96.0.1", false),
        ("team", "chat.team.svc", "fe80::1", false),
        ("default", "kubernetes.default.svc", "10.96.7.7", false),
    ];
    for (namespace, host, address, expected) in cases {
        let found = judge(&policy, Some(namespace), Some(host), ip(address));
        assert_eq!(found.is_ok(), expected, "{namespace} {host} {address}: {found:?}");
    }
    // A Service that leads out of the namespace opens nothing.
    assert!(policy.judge(Some("team"), Some("chat.team.svc"), ip("10.96.7.7"), false).is_err());
    for (namespace, address, expected) in [
        ("team", "10.1.2.3", true),
        ("team", "fd00::7", true),
        ("team", "8.8.8.8", true),
        ("team", "10.96.0.1", false),
        ("team", "203.0.114.5", false),
        ("team", "::ffff:203.0.114.5", false),
        ("team", "168.63.129.16", false),
        ("team", "100.100.100.200", false),
        ("site", "100.100.100.200", true),
        ("team", "fd00:ec2::254", false),
    ] {
        let policy = policy.clone().allow(vec!["site=100.100.100.200".parse().unwrap()], Vec::new());
        assert_eq!(policy.judge_endpoint(namespace, ip(address)).is_ok(), expected, "{namespace} {address}");
    }
    let closed = policy.clone().deny_own_services();
    assert!(judge(&closed, Some("team"), Some("chat.team.svc"), ip("10.96.7.7")).is_err());
    assert!(judge(&policy, None, Some("chat.team.svc"), ip("10.96.7.7")).is_err());
    let domain = AddressPolicy::new("k8s.example");
    for (host, expected) in [("chat.team.svc.k8s.example", true), ("chat.team.svc.cluster.local", false)] {
        assert_eq!(judge(&domain, Some("team"), Some(host), ip("10.1.1.1")).is_ok(), expected, "{host}");
    }
}

#[test]
fn a_closed_host_is_closed_in_a_url_as_an_alias_and_as_host_header() {
    let hosts = ["eks.example", "api.corp.example"].map(|host| parse_host_suffix(host).unwrap());
    let policy = policy(&["0.0.0.0/0"], &["corp.example", "team=named.eks.example"]).close(Vec::new(), hosts.to_vec());
    for (namespace, host, closed) in [
        ("team", "A.EKS.example.", Some("a.eks.example")),
        ("team", "api.corp.example", Some("api.corp.example")),
        ("team", "chat.corp.example", None),
        ("team", "named.eks.example", None),
        ("other", "named.eks.example", Some("named.eks.example")),
        ("team", "x.named.eks.example", Some("x.named.eks.example")),
        ("team", "seks.example", None),
    ] {
        let expected = closed.map_or(Ok(()), |host| Err(ClosedHost { host: host.to_owned() }));
        assert_eq!(policy.judge_host(namespace, host), expected, "{namespace} {host}");
        for header in [host.to_owned(), format!("{host}:443"), format!(" {host}\t"), format!("user@{host}, b")] {
            assert_eq!(policy.judge_host_header(namespace, header.as_bytes()), expected, "{namespace} {header}");
        }
    }
    let hidden =
        [&b"a.%65ks.example"[..], b"\xe9/a.eks.example", b"[::1]:80 a.eks.example", b"chat.example;EKS.example"];
    for header in hidden {
        assert!(policy.judge_host_header("team", header).is_err(), "{}", header.escape_ascii());
    }
    assert_eq!(
        AddressPolicy::unrestricted().close(Vec::new(), hosts.to_vec()).judge_host("team", "eks.example"),
        Ok(())
    );
}

#[test]
fn settings_that_cannot_be_meant_are_refused_with_a_message_for_people() {
    let address =
        |text: &str| text.parse::<AllowedAddress>().map(|allowed| (allowed.namespace, allowed.net.to_string()));
    for (text, namespace, net) in [
        ("10.0.0.0/8", None, "10.0.0.0/8"),
        ("10.1.2.3", None, "10.1.2.3/32"),
        ("fd00::1", None, "fd00::1/128"),
        (" team=fd00::/8", Some("team"), "fd00::/8"),
    ] {
        assert_eq!(address(text), Ok((namespace.map(str::to_owned), net.to_owned())), "{text}");
    }
    for (text, expected) in [
        ("10.1.2.3/8", "10.1.2.3/8 is an address and a length: the network is 10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "::ffff:10.0.0.0/104 stands for IPv4 addresses: give the IPv4 network"),
        ("", r#""" is no network such as 10.1.0.0/16 or fd00:1::/64"#),
        ("10.0.0.0/33", r#""10.0.0.0/33" is no network such as 10.1.0.0/16 or fd00:1::/64"#),
        ("example.com", r#""example.com" is no network such as 10.1.0.0/16 or fd00:1::/64"#),
        ("Team=10.0.0.0/8", r#""Team" is no name of a namespace"#),
        ("=10.0.0.0/8", r#""" is no name of a namespace"#),
    ] {
        assert_eq!(address(text), Err(expected.to_owned()), "{text}");
    }
    let host = |text: &str| text.parse::<AllowedHost>().map(|host| (host.namespace, host.suffix));
    for (text, namespace, suffix) in [
        ("Example.com.", None, "example.com"),
        ("team=intern", Some("team"), "intern"),
        ("bücher.example", None, "xn--bcher-kva.example"),
    ] {
        assert_eq!(host(text), Ok((namespace.map(str::to_owned), suffix.to_owned())), "{text}");
    }
    for (text, expected) in [
        ("*.example.com", r#""*.example.com": "example.com" stands for itself and for all below it"#),
        (".example.com", r#"".example.com": "example.com" stands for itself and for all below it"#),
        ("10.0.0.1", r#""10.0.0.1" is an address: give it as one"#),
        ("[::1]", r#""[::1]" is an address: give it as one"#),
        ("a.*.com", r#""a.*.com" is no host name such as example.com"#),
        ("https://example.com", r#""https://example.com" is no host name such as example.com"#),
        ("example.com:80", r#""example.com:80" is no host name such as example.com"#),
        ("", r#""" is no host name such as example.com"#),
        ("a_b=example.com", r#""a_b" is no name of a namespace"#),
    ] {
        assert_eq!(host(text), Err(expected.to_owned()), "{text}");
    }
    assert_eq!(parse_cluster_domain("K8s.example."), Ok("k8s.example".to_owned()));
    assert_eq!(parse_cluster_domain("a b"), Err(r#""a b" is no domain such as cluster.local"#.to_owned()));
}

#[test]
fn a_proxy_may_look_up_only_hosts_that_the_configuration_names() {
    let policy = policy(&["10.0.0.0/8"], &["example.org", "team=own.example", "internal"]);
    let cases = [
        (None, "example.org", true),
        (None, "Example.ORG.", true),
        (None, "a.example.org", false),
        (None, "badexample.org", false),
        (None, "own.example", false),
        (Some("other"), "own.example", false),
        (Some("team"), "own.example", true),
        (Some("team"), "a.own.example", false),
        (None, "metadata.google.internal", false),
        (None, "api.example.com", false),
    ];
    for (namespace, host, expected) in cases {
        assert_eq!(policy.trusts(namespace, host), expected, "{namespace:?} {host}");
    }
    assert!(AddressPolicy::unrestricted().trusts(None, "a.example"));
}

#[test]
fn an_own_service_is_recognized_by_each_of_its_names() {
    let policy = policy(&[], &[]);
    for (namespace, host, service) in [
        ("team", "Chat.Team.svc.cluster.local.", Some(("chat", None))),
        ("team", "pod-0.chat.team.svc", Some(("chat", Some("pod-0")))),
        ("team", "_http._tcp.chat.team.svc", Some(("chat", Some("_http._tcp")))),
        ("team", "chat.other.svc", None),
        ("team", "team.svc", None),
        ("", "chat..svc", None),
    ] {
        let expected = service
            .map(|(name, pod): (&str, Option<&str>)| OwnService { name: name.to_owned(), pod: pod.map(str::to_owned) });
        assert_eq!(policy.own_service(namespace, host), expected, "{namespace} {host}");
    }
    assert_eq!(policy.deny_own_services().own_service("team", "chat.team.svc"), None);
    assert_eq!(AddressPolicy::unrestricted().own_service("team", "chat.team.svc"), None);
}

#[test]
fn names_inside_the_cluster_are_recognized() {
    let policy = AddressPolicy::new("k8s.example");
    let cases = [
        ("chat.team.svc", true),
        ("Chat.Team.SVC.", true),
        ("chat.team.svc.k8s.example", true),
        ("node.k8s.example", true),
        ("k8s.example", true),
        ("svc", false),
        ("chat.team", false),
        ("bad-k8s.example", false),
        ("chat.team.svc.cluster.local", false),
        ("chat.example", false),
    ];
    for (host, expected) in cases {
        assert_eq!(policy.is_of_cluster(host), expected, "{host}");
    }
}
