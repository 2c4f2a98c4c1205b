//! Addresses in the spellings in which programs and people write them.

use super::*;
use crate::event::{FIELD_BYTES, Source, TAG_BYTES, beginning};

/// At signs as programs and people write them.
const AT_SIGNS: [&str; 48] = [
    "@",
    "\u{FF20}",
    "\u{FE6B}",
    "&#64;",
    "&#064;",
    "&#x40;",
    "&#X0040;",
    "&#64",
    "&commat;",
    "&COMMAT;",
    "&commat",
    "&Commat;",
    "&amp#64;",
    "&AMP;#64;",
    "&bsol;u0040",
    "&amp;#64;",
    "&amp;commat;",
    "%40",
    "%2540",
    "%252540",
    "%26%2364%3B",
    "%EF%BC%A0",
    "%u0040",
    "\\u0040",
    "\\u{40}",
    "\\x40",
    "\\100",
    "\\uff20",
    "=40",
    "=3D40",
    "=EF=BC=A0",
    "=\r\n@",
    "&#000000000000000000064;",
    "&#x0000000000000000000040;",
    "(at)",
    "( at )",
    "[ at ]",
    "(at )",
    "[AT]",
    "{at}",
    "(@)",
    "@\u{200B}",
    "\u{2060}@",
    "@ ",
    " @",
    " @\t",
    "@(x)",
    "(home)@",
];

#[test]
fn an_address_is_masked_however_its_at_sign_is_written() {
    for sign in AT_SIGNS {
        for domain in [
            "example.net",
            "bücher.example",
            "ｅｘａｍｐｌｅ．ｎｅｔ",
            "xn--bcher-kva.example",
            "\"example.net\"",
            "[192.0.2.99]",
        ] {
            for local in [
                "annaqz",
                "anna.qz+x",
                "\"anna qz\"",
                "\"anna\\\"qz\"",
                "an\u{200B}naqz",
                "änna-qz",
            ] {
                let address = format!("{local}{sign}{domain}");
                for whole in [
                    address.clone(),
                    format!("Hello <{address}>, and others"),
                    format!("see \"{address}\"."),
                    format!("({address})"),
                ] {
                    let masked = text(&whole);
                    assert!(
                        !masked.contains("qz") && !masked.contains("nna"),
                        "{whole} {masked}"
                    );
                    assert!(!masked.contains("192.0.2.99"), "{whole} {masked}");
                    assert_eq!(text(&masked), masked, "{whole}");
                }
                if !address.contains([' ', '\t', '"']) {
                    let link = format!("https://a.example/u/{address}/x");
                    let masked = url::masked(&link);
                    assert!(
                        !masked.contains("qz") && !masked.contains("nna"),
                        "{link} {masked}"
                    );
                }
            }
        }
    }
}

#[test]
fn of_a_tag_that_may_have_been_cut_the_last_word_is_masked() {
    for address in [
        "anna@example.net",
        "anna&#64;example.net",
        "anna%40example.net",
    ] {
        for length in TAG_BYTES - 20..TAG_BYTES {
            let tag = format!("{} {address}", "x".repeat(length));
            let content = Content {
                tags: vec![Cow::Borrowed(beginning(&tag, TAG_BYTES))],
                ..Content::new("send", Source::Mandrill)
            };
            let masked = content.masked();
            assert!(
                !masked.tags[0].contains("anna"),
                "{length} {}",
                masked.tags[0]
            );
        }
    }
}

#[test]
fn encoded_and_odd_addresses_are_masked_and_little_else() {
    for (whole, left) in [
        ("anna@(x)example.net", "***@***example.net"),
        ("anna@(Anna Smith)example.net", "***@***example.net"),
        ("anna(Anna Smith)@example.net", "***@example.net"),
        ("anna (Anna Smith) @example.net", "***@example.net"),
        ("mail anna@ example.net", "mail ***@ example.net"),
        ("mail anna @ example.net", "mail ***@ example.net"),
        ("anna@\"example.net\"!", "***@***!"),
        ("anna\u{FF20}example.net", "***\u{FF20}example.net"),
        ("Hello anna&#64;example.net, hello", "Hello *** hello"),
        ("anna [at] example [dot] net", "*** example [dot] net"),
        ("anna=40example.net", "***"),
        ("=?utf-8?Q?anna=40example.net?= hello", "*** hello"),
        ("Re: =?UTF-8?b?YW5uYUBleGFtcGxlLm5ldA==?=", "Re: ***"),
        ("hello @anna_smith, you", "hello *** you"),
        ("@anna", "***"),
        ("size=40 x=40.5 a=4050 y=40%", "size=40 x=40.5 a=4050 y=40%"),
        ("Meet @ 5.30pm (at) noon", "Meet @ 5.30pm (at) noon"),
        (
            "Tom &amp; Jerry <b> a\\b [ok] (x) 100%",
            "Tom &amp; Jerry <b> a\\b [ok] (x) 100%",
        ),
        ("from 100%12.0.2.1", "from ***"),
        (
            "１９２.０.２.１７ 192。0。2。17 192．0．2．17",
            "*** *** ***",
        ),
        ("192[.]0[.]2[.]17 192&#46;0&#46;2&#46;17", "*** ***"),
        ("192.\u{200B}0.2.17 \u{0661}.2.3.4", "*** ***"),
        ("0xC0.0x00.0x02.0x11 0300.0.2.021", "*** ***"),
        ("2001：db8：：17 2001%3Adb8%3A%3A17", "*** ***"),
        ("1:2:3:4:5:6:7:8@x.example", "***@x.example"),
        ("", ""),
    ] {
        assert_eq!(text(whole), left, "{whole}");
    }
    for (whole, left) in [
        ("mailto:anna#1@example.net", "***"),
        (
            "https://a.example/b#anna@example.net",
            "https://a.example/b",
        ),
        ("http://3221226001/x", "http://***/x"),
        ("http://0xC0000211:80/", "http://***:80/"),
        ("http://192.513./", "http://***/"),
        (
            "https://a.example:8080/2026/11",
            "https://a.example:8080/2026/11",
        ),
        (
            "http://anna\u{FF20}example.net/",
            "http://***\u{FF20}example.net/",
        ),
        (
            "https://a.example/anna&#64;example.net/",
            "https://a.example/***",
        ),
    ] {
        assert_eq!(url::masked(whole), left, "{whole}");
    }
    for (whole, left) in [
        ("anna@anna%40example.net", "***"),
        ("anna@bob&#64;example.net", "***"),
        ("anna\u{FF20}example.net", "***"),
        ("anna@(x)example.net", "***"),
        ("anna@ example.net", "***"),
        ("anna@\"example.net\"", "***"),
        ("'anna@example.net'", "***@example.net"),
    ] {
        assert_eq!(masked_address(whole), left, "{whole}");
    }
}

#[test]
fn quoted_printable_and_encoded_words_are_read_however_much_of_them_is_there() {
    for (whole, left) in [
        ("=61=6E=6E=61=40example.net", "***"),
        ("=61=40=65=78=61=6D=70=6C=65=2E=6E=65=74", "***"),
        ("anna=40=65xample.net", "***"),
        ("an=\nna@example.net", "***@example.net"),
        ("=3D61=3D40=3D65x=2Eorg", "***"),
        ("192=2E0=2E2=2E17 =31=39=32=2E0=2E2=2E17", "*** ***"),
        ("2001=3Adb8=3A=3A17", "***"),
        ("id=10.0.2.1 id=10%2E0%2E2%2E1", "id=*** ***"),
        ("a=2E=2E=2Eb c=3A d=41", "a=2E=2E=2Eb c=3A d=41"),
        ("=?utf-8?b?YW5uYUBleGFtcGxlLm5ldA==", "***"),
        ("Re: =?utf-8?B?YW5u hello", "Re: *** hello"),
        ("=?utf-8?b?YW5u YUBl?= hello", "*** hello"),
        ("=?utf-8?q?anna bob=40example.net?=", "***"),
        ("=?utf-8*en?q?anna?= =?utf-8?b?YUBl?=", "*** ***"),
        ("%3D%3Futf-8%3Fb%3FYW5u", "***"),
        ("a=?b what=?how?be?", "a=?b what=?how?be?"),
    ] {
        assert_eq!(text(whole), left, "{whole}");
        assert_eq!(text(left), left, "{whole}");
    }
}

#[test]
fn entities_of_any_name_belong_to_the_address_in_which_they_stand() {
    for (whole, left) in [
        ("M&uuml;ller@example.net", "***"),
        ("anna&plus;x@example.net", "***"),
        ("anna&period;x&commat;example&period;net", "***"),
        ("&#97;nna&commat example.net", "*** example.net"),
        (
            "hello AT&T; anna@example.net",
            "hello AT&T; ***@example.net",
        ),
        ("192&period;0&period;2&period;17", "***"),
        (
            "Tom &amp Jerry &copy; &lt;b&gt;",
            "Tom &amp Jerry &copy; &lt;b&gt;",
        ),
    ] {
        assert_eq!(text(whole), left, "{whole}");
    }
}

#[test]
fn a_local_part_of_several_words_is_masked_whole() {
    for (whole, left) in [
        ("anna . x @ example.net", "***@ example.net"),
        ("to anna .x@example.net", "to ***@example.net"),
        ("\"anna\" . x . y@example.net", "***@example.net"),
        ("anna (home) . x (y) @ example.net", "***@ example.net"),
        ("anna @ example . net", "***@ example . net"),
        (
            "That is all. anna@example.net",
            "That is all. ***@example.net",
        ),
        ("Hm ... anna@example.net", "Hm ... ***@example.net"),
        ("Hm ...anna@example.net", "Hm ***@example.net"),
        ("Meet @ 5 . Bring 2", "Meet @ 5 . Bring 2"),
    ] {
        assert_eq!(text(whole), left, "{whole}");
    }
    // The at sign is behind what is looked at.
    let far = format!("hello dear anna{}@example.net", " ".repeat(FIELD_BYTES));
    assert_eq!(text(&far), "hello ***");
}

#[test]
fn a_number_that_is_the_host_of_a_link_is_masked_in_any_text() {
    for (whole, left) in [
        ("see http://3221226001/x now", "see http://***/x now"),
        (
            "http://0x7f000001/ https://0300.2/",
            "http://***/ https://***/",
        ),
        (
            "(http://3221226001:80), \"http:\\\\192.513\"",
            "(http://***:80), \"http:\\\\***\"",
        ),
        ("http:///3221226001. x", "http:///*** x"),
        ("http://anna@3221226001/", "http:***@***/"),
        (
            "http://%33221226001/ http://３２２１２２６００１/",
            "*** http://***/",
        ),
        (
            "http://1.example/ 3221226001 //2026/11 at: 5",
            "http://1.example/ 3221226001 //2026/11 at: 5",
        ),
    ] {
        assert_eq!(text(whole), left, "{whole}");
    }
    assert_eq!(url::masked("http://%33221226001/x"), "http://***/x");
}

#[test]
fn a_link_may_have_an_address_across_its_parts() {
    for (whole, left) in [
        (
            "https://a.example/p/anna/@example.net",
            "https://a.example/p/***/***",
        ),
        (
            "https://a.example/anna//@example.net/q",
            "https://a.example/***//***/q",
        ),
        (
            "https://a.example/anna/%40/example.net",
            "https://a.example/***/%40/example.net",
        ),
        (
            "https://a.example/anna/&commat;example.net",
            "https://a.example/***/***",
        ),
        (
            "https://a.example/anna/=40example.net",
            "https://a.example/***/***",
        ),
        (
            "https://a.example/anna\\/\\u0040example.net",
            "https://a.example/***/***",
        ),
        ("anna/@example.net", "***/***"),
        ("anna\\u0040example.net", "******"),
        ("https://anna.x\\u0040example.net/q", "https://******/q"),
        (
            "https://x.example\\.anna\\u0040example.net/q",
            "https://***\\***/q",
        ),
        (
            "https://a.example/anna/=40/example.net",
            "https://a.example/***/=40/example.net",
        ),
        (
            "https://a.example/anna/=40.50/",
            "https://a.example/anna/=40.50/",
        ),
        (
            "https://a.example\\anna/@example.net",
            "https://a.example\\***/***",
        ),
        (
            "https://a.example/\\\\anna@example.net/\\u0040x.example",
            "https://a.example/\\\\***/***",
        ),
        (
            "https://a.example/u/@anna/post",
            "https://a.example/u/***/post",
        ),
    ] {
        assert_eq!(url::masked(whole), left, "{whole}");
        assert_eq!(url::masked(left), left, "{whole}");
    }
}

#[test]
fn a_message_id_is_masked_whatever_it_is() {
    for id in [
        "reader1@example.net",
        "8854ad35e1b54a1cb1f0c5a4d2f4f0aa",
        "",
    ] {
        let mut content = click();
        content.message_id = Some(id.into());
        assert_eq!(content.masked().message_id.as_deref(), Some("***"), "{id}");
    }
    assert_eq!(click().masked().message_id, None);
}

#[test]
fn of_a_long_text_the_beginning_is_shown_and_no_part_of_an_address() {
    for bytes in FIELD_BYTES - 20..FIELD_BYTES + 20 {
        let filler = "x ".repeat(bytes / 2);
        for whole in [
            format!("{filler}annaqz@example.net"),
            format!("{filler}192.0.2.17 and more"),
        ] {
            // As it may have been stored.
            for whole in [whole.as_str(), beginning(&whole, FIELD_BYTES)] {
                let masked = text(whole);
                assert!(masked.len() <= FIELD_BYTES && masked.starts_with("x x x"));
                assert!(!masked.contains('q') && !masked.contains("192"), "{masked}");
                assert_eq!(text(&masked), masked);
            }
        }
        let link = format!(
            "https://a.example/{}annaqz@example.net",
            "x/".repeat(bytes / 2)
        );
        for link in [link.as_str(), beginning(&link, FIELD_BYTES)] {
            let masked = url::masked(link);
            assert!(masked.len() <= FIELD_BYTES && masked.starts_with("https://a.example/x/"));
            assert!(!masked.contains('q'), "{masked}");
        }
    }
}

#[test]
fn a_long_text_is_cut_before_an_address_of_several_words() {
    for address in [
        "\"johnqz smithqz the thirdqz\"@example.net",
        "\"johnqz smithqz the thirdqz\" (a b) @ example.net",
        "%22johnqz smithqz the thirdqz%22%40example.net",
        "johnqz . smithqz . thirdqz @ example.net",
        "johnqz(homeqz address of himqz)@example.net",
        "johnqz (homeqz (address of) himqz qz) @ example.net",
        "=?utf-8?q?johnqz smithqz the thirdqz?= <a@example.net>",
        "johnqz [ at ] example.net",
        "\"johnqz smithqz\" @ example.net and more words",
    ] {
        for bytes in (FIELD_BYTES - 60..FIELD_BYTES + 8).step_by(2) {
            let whole = format!("{}{address}", "x ".repeat(bytes / 2));
            for whole in [whole.as_str(), beginning(&whole, FIELD_BYTES)] {
                let masked = text(whole);
                assert!(masked.starts_with("x x x"), "{address}: {masked}");
                assert!(!masked.contains('q'), "{address}: {masked}");
                assert_eq!(text(&masked), masked);
            }
        }
    }
    for shape in ["a", "\"", "(", "a(", " . "] {
        let masked = text(&shape.repeat(FIELD_BYTES)).into_owned();
        assert!(masked.ends_with(MASK) && masked.len() <= FIELD_BYTES);
    }
}

#[test]
fn a_long_link_is_cut_before_an_address_across_its_parts() {
    for address in [
        "annaqz/@example.net",
        "annaqz//@example.net",
        "annaqz/%40/example.net",
    ] {
        for bytes in (FIELD_BYTES - 60..FIELD_BYTES + 8).step_by(2) {
            let link = format!("https://a.example/{}{address}", "x/".repeat(bytes / 2));
            for link in [link.as_str(), beginning(&link, FIELD_BYTES)] {
                let masked = url::masked(link);
                assert!(masked.starts_with("https://a.example/x/"), "{masked}");
                assert!(!masked.contains('q'), "{masked}");
                assert_eq!(url::masked(&masked), masked);
            }
        }
    }
    let long = format!("https://a.example/{}", "x".repeat(FIELD_BYTES));
    assert_eq!(url::masked(&long), "https://a.example/***");
}

#[test]
fn numbers_that_are_no_hosts_are_left() {
    for whole in [r"C:\\2024\report", "file:///2024/01/x", "at 5://7"] {
        assert_eq!(text(whole), whole);
        assert_eq!(url::masked(whole), whole);
    }
    for link in ["/2024/01/x", "FILE://2024/x"] {
        assert_eq!(url::masked(link), link);
    }
    for (link, left) in [
        ("//3221226001/x", "//***/x"),
        ("ftp:/3221226001/x", "ftp:/***/x"),
        (r"http:\\3221226001\x", r"http:\\***\x"),
    ] {
        assert_eq!(url::masked(link), left);
    }
}

#[test]
fn double_colons_of_code_and_times_are_left() {
    for whole in [
        "std::vec::Vec",
        "a::before { }",
        "std::f64::consts",
        "u8::MAX",
        "Base64::decode",
        "ETA 12::30",
        "A::B",
    ] {
        assert_eq!(text(whole), whole);
    }
    for (whole, left) in [
        ("fe80::1 2001:db8::1 ::1 ::", "*** *** *** ::"),
        ("[IPv6:2001:db8::1]", "[IPv***]"),
        ("from:2001:db8::1", "from***"),
        ("from:::1", "from***"),
        (r"\nfe80::1", r"\n***"),
        ("来自fe80::1的", "来自***的"),
        ("2001:db8::1via 2001::x", "***via 2001::x"),
        ("1:2::3 1:: 2001::1 fd12::30", "*** *** *** ***"),
        ("fdab:cdef::ab", "***"),
        ("::ffff:192.0.2.1", "***"),
    ] {
        assert_eq!(text(whole), left, "{whole}");
    }
}
