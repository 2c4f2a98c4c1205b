//! Addresses that no endpoint may have: whoever may register one could otherwise reach what only
//! the functions reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every block of the "IANA IPv4 Special-Purpose Address Registry" (October 2024), those that are
/// reachable included, since nobody runs a server there; multicast; and the one public address that
/// a cloud answers secrets at.
const V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "carrier-grade NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // Azure's "wire server".
    (Ipv4Addr::new(168, 63, 129, 16), 32, "metadata"),
    (Ipv4Addr::new(169, 254, 169, 254), 32, "metadata"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 31, 196, 0), 24, "AS112"),
    (Ipv4Addr::new(192, 52, 193, 0), 24, "AMT"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(192, 175, 48, 0), 24, "AS112"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmark"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// The same of the "IANA IPv6 Special-Purpose Address Registry", by name where a name helps who
/// reads it; the first that holds an address is its name. What lies outside of global unicast
/// (`2000::/3`) is refused anyway.
const V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (v6(0x64, 0xff9b, 0, 0), 96, "NAT64"),
    (v6(0x64, 0xff9b, 1, 0), 48, "NAT64"),
    (v6(0x100, 0, 0, 0), 64, "discard"),
    (v6(0x2001, 0, 0, 0), 32, "Teredo"),
    (v6(0x2001, 2, 0, 0), 48, "benchmark"),
    (v6(0x2001, 0x10, 0, 0), 28, "ORCHID"),
    (v6(0x2001, 0x20, 0, 0), 28, "ORCHIDv2"),
    (v6(0x2001, 0, 0, 0), 23, "protocol assignments"),
    (v6(0x2001, 0xdb8, 0, 0), 32, "documentation"),
    (v6(0x2002, 0, 0, 0), 16, "6to4"),
    (v6(0x2620, 0x4f, 0x8000, 0), 48, "AS112"),
    (v6(0x3fff, 0, 0, 0), 20, "documentation"),
    (v6(0x5f00, 0, 0, 0), 16, "SRv6"),
    (v6(0xfc00, 0, 0, 0), 7, "unique local"),
    (v6(0xfe80, 0, 0, 0), 10, "link-local"),
    (v6(0xfec0, 0, 0, 0), 10, "site-local"),
    (v6(0xff00, 0, 0, 0), 8, "multicast"),
];

/// Why an endpoint may not be at this address; none if it may.
///
/// An IPv6 address that stands for an IPv4 address (`::ffff:a.b.c.d`, `::a.b.c.d`) is judged by
/// that: the socket would go there.
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    V4.iter()
        .find(|(network, prefix, _)| {
            (address.to_bits() ^ network.to_bits()).leading_zeros() >= *prefix
        })
        .map(|(_, _, name)| *name)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let named = V6.iter().find(|(network, prefix, _)| {
        (address.to_bits() ^ network.to_bits()).leading_zeros() >= *prefix
    });
    if let Some((_, _, name)) = named {
        return Some(name);
    }
    match address.to_ipv4() {
        Some(inside) => forbidden_v4(inside),
        None if address.segments()[0] >> 13 == 0b001 => None,
        None => Some("reserved"),
    }
}

const fn v6(a: u16, b: u16, c: u16, d: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(address: &str) -> Option<&'static str> {
        forbidden(address.parse().unwrap())
    }

    /// Blocks written once more, from the registries, with what is next to them: an address
    /// outside that no other block holds has to be allowed.
    const BLOCKS: &[(&str, &str, bool, bool)] = &[
        // first, last, whether the one before is allowed, whether the one after is
        ("0.0.0.0", "0.255.255.255", false, true),
        ("10.0.0.0", "10.255.255.255", true, true),
        ("100.64.0.0", "100.127.255.255", true, true),
        ("127.0.0.0", "127.255.255.255", true, true),
        ("168.63.129.16", "168.63.129.16", true, true),
        ("169.254.0.0", "169.254.255.255", true, true),
        ("172.16.0.0", "172.31.255.255", true, true),
        ("192.0.0.0", "192.0.0.255", true, true),
        ("192.0.2.0", "192.0.2.255", true, true),
        ("192.31.196.0", "192.31.196.255", true, true),
        ("192.52.193.0", "192.52.193.255", true, true),
        ("192.88.99.0", "192.88.99.255", true, true),
        ("192.168.0.0", "192.168.255.255", true, true),
        ("192.175.48.0", "192.175.48.255", true, true),
        ("198.18.0.0", "198.19.255.255", true, true),
        ("198.51.100.0", "198.51.100.255", true, true),
        ("203.0.113.0", "203.0.113.255", true, true),
        ("224.0.0.0", "255.255.255.255", true, false),
        ("64:ff9b::", "64:ff9b::ffff:ffff", false, false),
        (
            "64:ff9b:1::",
            "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            false,
            false,
        ),
        ("100::", "100::ffff:ffff:ffff:ffff", false, false),
        (
            "2001::",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            true,
            true,
        ),
        (
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            true,
            true,
        ),
        (
            "2002::",
            "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            true,
            true,
        ),
        (
            "2620:4f:8000::",
            "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
            true,
            true,
        ),
        (
            "3fff::",
            "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            true,
            true,
        ),
        (
            "4000::",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            true,
            false,
        ),
    ];

    fn number(text: &str) -> (u128, bool) {
        match text.parse().unwrap() {
            IpAddr::V4(address) => (u128::from(address.to_bits()), true),
            IpAddr::V6(address) => (address.to_bits(), false),
        }
    }

    fn address(number: u128, is_v4: bool) -> IpAddr {
        if is_v4 {
            Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into()
        } else {
            Ipv6Addr::from_bits(number).into()
        }
    }

    #[test]
    fn a_block_ends_where_the_registry_says() {
        for (first, last, is_free_before, is_free_after) in BLOCKS {
            let ((first, is_v4), (last, _)) = (number(first), number(last));
            for number in [first, last] {
                let address = address(number, is_v4);
                assert!(forbidden(address).is_some(), "{address}");
            }
            if *is_free_before {
                assert_eq!(forbidden(address(first - 1, is_v4)), None, "before {first}");
            }
            if *is_free_after {
                assert_eq!(forbidden(address(last + 1, is_v4)), None, "after {last}");
            }
        }
    }

    #[test]
    fn an_address_is_refused_by_what_it_is() {
        for (address, name) in [
            ("0.0.0.0", "this network"),
            ("10.1.2.3", "private"),
            ("100.100.100.200", "carrier-grade NAT"),
            ("127.0.0.1", "loopback"),
            ("169.254.1.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("168.63.129.16", "metadata"),
            ("192.0.0.192", "protocol assignments"),
            ("192.88.99.1", "6to4 relay"),
            ("198.19.255.255", "benchmark"),
            ("239.255.255.250", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "this network"),
            ("::127.0.0.1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "metadata"),
            ("::ffff:0:127.0.0.1", "reserved"),
            ("64:ff9b::808:808", "NAT64"),
            ("64:ff9b:1::1", "NAT64"),
            ("100::1", "discard"),
            ("2001::1", "Teredo"),
            ("2001:2::1", "benchmark"),
            ("2001:10::1", "ORCHID"),
            ("2001:2f:ffff::1", "ORCHIDv2"),
            ("2001:1::1", "protocol assignments"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::1", "6to4"),
            ("3fff::1", "documentation"),
            ("5f00::1", "SRv6"),
            ("fd00:ec2::254", "unique local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("4000::1", "reserved"),
        ] {
            assert_eq!(of(address), Some(name), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "52.95.110.1",
            "172.32.0.1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450:4001:800::200e",
        ] {
            assert_eq!(of(address), None, "{address}");
        }
    }

    proptest! {
        #[test]
        fn nothing_within_a_block_is_allowed(at in 0..BLOCKS.len(), spread: u128) {
            let (first, last, ..) = BLOCKS[at];
            let ((first, is_v4), (last, _)) = (number(first), number(last));
            let size = (last - first).saturating_add(1);
            let inside = address(first + spread % size, is_v4);
            prop_assert!(forbidden(inside).is_some(), "{}", inside);
        }

        #[test]
        fn an_ipv4_address_is_judged_alike_in_every_form(bits: u32) {
            let plain = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(
                forbidden(plain.to_ipv6_mapped().into()),
                forbidden(plain.into())
            );
            let compatible = plain.to_ipv6_compatible();
            prop_assert_eq!(forbidden(compatible.into()).is_some(), forbidden(plain.into()).is_some());
        }

        #[test]
        fn only_global_unicast_is_allowed(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            let is_global = bits >> 125 == 0b001;
            prop_assume!(address.to_ipv4().is_none());
            prop_assert!(is_global || forbidden(address.into()).is_some());
        }

        #[test]
        fn what_std_calls_special_is_forbidden(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let is_special = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_multicast()
                || address.is_unspecified();
            prop_assert!(!is_special || forbidden(address.into()).is_some());
        }
    }
}
