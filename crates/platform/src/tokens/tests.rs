use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Filter, Millis, Rights, Scope, Scopes, View};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;

const KEY: &str = "a-key-of-forty-three-characters-for-testing";
const OTHER: &str = "another-key-of-at-least-thirty-two-bytes";
const NOW: Millis = Millis(1_795_300_000_000);
const HS256: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

fn keys(current: &str, retired: &[&str]) -> TokenKeys {
    let secret = json!({ "token_key": current, "retired_token_keys": retired, "webhook_keys": [] });
    serde_json::from_value(secret).unwrap()
}

/// A token as anybody could make it who has the key, without the code under test.
fn forged(header: &str, claims: &Value, key: &str) -> String {
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{text}.{signature}")
}

fn verify(token: &str) -> Result<Holder, Refusal> {
    keys(KEY, &[]).verify(token, Audience::Api, NOW)
}

fn claims(change: impl FnOnce(&mut Value)) -> String {
    let mut claims = json!({ "aud": "api", "exp": NOW.as_secs() + 60, "scope": "read" });
    change(&mut claims);
    forged(HS256, &claims, KEY)
}

fn rights(scopes: &[Scope], filter: &str, mask: bool) -> Rights {
    Rights {
        scopes: Scopes::of(scopes),
        filter: filter.parse().unwrap(),
        asked: Filter::default(),
        mask,
        until: NOW.plus(3_600_000),
    }
}

/// Made with Python's `hmac` and `base64`.
#[test]
fn a_token_made_elsewhere_is_read() {
    let token = concat!(
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.",
        "eyJhdWQiOiJhcGkiLCJleHAiOjIwMDAwMDAwMDAsInNjb3BlIjoicmVhZCB3cml0ZSIsImZpbHRlciI6InR5cGU6b3BlbiIsInN1YiI6ImNybSJ9.",
        "D_dAr2O0GoJlQaaFOph6I4ghqB267deRvTYHDnuPDOE"
    );
    let holder = verify(token).unwrap();
    assert_eq!(*holder.subject, "crm");
    assert_eq!(
        holder.rights.scopes,
        Scopes::of(&[Scope::Read, Scope::Write])
    );
    assert_eq!(holder.rights.filter, "type:open".parse().unwrap());
    assert_eq!(holder.rights.until, Millis(2_000_000_000_000));
    assert!(!holder.rights.mask);
}

#[test]
fn what_is_minted_is_read_with_the_same_rights() {
    let keys = keys(KEY, &[]);
    for rights in [
        rights(&[Scope::Read], "", false),
        rights(&[Scope::Read, Scope::Write], "type:open,click", true),
        rights(&[Scope::Endpoints], "", false),
    ] {
        let token = keys.mint("me", &rights, NOW).unwrap();
        let holder = keys.verify(&token, Audience::Api, NOW).unwrap();
        assert_eq!((holder.subject.as_str(), &holder.rights), ("me", &rights));
    }
}

#[test]
fn tokens_that_nobody_would_accept_are_not_minted() {
    let keys = keys(KEY, &[]);
    for rights in [
        rights(&[Scope::Read, Scope::Endpoints], "type:open", false),
        rights(&[Scope::Endpoints], "", true),
        rights(&[], "", false),
    ] {
        assert!(keys.mint("", &rights, NOW).is_err(), "{rights:?}");
    }
}

#[test]
fn a_retired_key_is_good_for_what_it_signed_and_an_unknown_one_for_nothing() {
    let token = claims(|_| ());
    let verify = |keys: TokenKeys| keys.verify(&token, Audience::Api, NOW).map(drop);
    assert_eq!(verify(keys(OTHER, &[KEY])), Ok(()));
    assert_eq!(verify(keys(OTHER, &[])), Err(Refusal::WrongKey));
    let minted = keys(OTHER, &[KEY]).mint("", &rights(&[Scope::Read], "", false), NOW);
    let minted = minted.unwrap();
    assert_eq!(
        keys(KEY, &[]).verify(&minted, Audience::Api, NOW).err(),
        Some(Refusal::WrongKey)
    );
}

#[test]
fn a_key_that_is_too_short_is_no_secret() {
    let secret = json!({ "token_key": "k".repeat(31) });
    assert!(serde_json::from_value::<TokenKeys>(secret).is_err());
    let secret = json!({ "token_key": KEY, "retired_token_keys": ["short"] });
    assert!(serde_json::from_value::<TokenKeys>(secret).is_err());
}

#[test]
fn only_hmac_sha256_is_accepted_whatever_the_header_says() {
    let claims = json!({ "aud": "api", "exp": NOW.as_secs() + 60, "scope": "read" });
    for algorithm in [
        "none", "None", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", "",
    ] {
        let header = json!({ "typ": "JWT", "alg": algorithm }).to_string();
        let token = forged(&header, &claims, KEY);
        assert_eq!(
            verify(&token).err(),
            Some(Refusal::Malformed),
            "{algorithm}"
        );
        let unsigned = token.rsplit_once('.').unwrap().0;
        for token in [format!("{unsigned}."), unsigned.to_owned()] {
            assert_eq!(
                verify(&token).err(),
                Some(Refusal::Malformed),
                "{algorithm}"
            );
        }
    }
}

#[test]
fn a_changed_character_is_noticed() {
    let token = claims(|_| ());
    assert!(verify(&token).is_ok());
    for at in 0..token.len() {
        let mut changed = token.clone();
        let other = if &token[at..=at] == "A" { "B" } else { "A" };
        changed.replace_range(at..=at, other);
        // The last character of a base64 text has bits that mean nothing.
        if at + 1 < token.len() {
            assert!(verify(&changed).is_err(), "{at}");
        }
    }
    for nonsense in ["", ".", "..", "a.b.c", "🦀", &"x".repeat(9_000)] {
        assert_eq!(verify(nonsense).err(), Some(Refusal::Malformed));
    }
}

#[test]
fn an_end_and_an_audience_are_required() {
    for missing in ["exp", "aud"] {
        let token = claims(|claims| {
            claims.as_object_mut().unwrap().remove(missing);
        });
        assert!(
            matches!(verify(&token), Err(Refusal::Claims(_))),
            "{missing}"
        );
    }
    for wrong in [json!("connect"), json!("API"), json!("")] {
        let token = claims(|claims| claims["aud"] = wrong.clone());
        assert_eq!(
            verify(&token).err(),
            Some(Refusal::WrongAudience),
            "{wrong}"
        );
    }
    // A token for both would be a ticket that lives as long as a token.
    let both = claims(|claims| claims["aud"] = json!(["api", "connect"]));
    assert!(matches!(verify(&both), Err(Refusal::Claims(_))));
}

#[test]
fn a_token_holds_from_nbf_to_exp_with_ten_seconds_of_leeway() {
    let at = |change: fn(&mut Value)| verify(&claims(change)).map(drop);
    let now = NOW.as_secs();
    assert_eq!(
        at(|claims| claims["exp"] = json!(NOW.as_secs() - 9)),
        Ok(())
    );
    assert_eq!(
        at(|claims| claims["exp"] = json!(NOW.as_secs() - 10)),
        Err(Refusal::Expired)
    );
    assert_eq!(at(|claims| claims["exp"] = json!(0)), Err(Refusal::Expired));
    assert_eq!(
        at(|claims| claims["nbf"] = json!(NOW.as_secs() + 10)),
        Ok(())
    );
    assert_eq!(
        at(|claims| claims["nbf"] = json!(NOW.as_secs() + 11)),
        Err(Refusal::NotYetValid)
    );
    for odd in [json!("tomorrow"), json!(-1), json!(null)] {
        let token = claims(|claims| claims["exp"] = odd.clone());
        assert!(
            matches!(verify(&token), Err(Refusal::Claims(_))),
            "{odd} at {now}"
        );
    }
}

#[test]
fn a_claim_that_is_not_known_is_refused_by_name() {
    let token = claims(|claims| claims["fliter"] = json!("type:open"));
    let Err(Refusal::Claims(wrong)) = verify(&token) else {
        panic!("it was accepted")
    };
    assert!(wrong.contains("fliter"), "{}", wrong.0);
    for (claim, value) in [
        ("scope", json!("read everything")),
        ("filter", json!("colour:red")),
        ("mask", json!("yes")),
    ] {
        let token = claims_with(claim, &value);
        assert!(matches!(verify(&token), Err(Refusal::Claims(_))), "{claim}");
    }
    for (claim, value) in [("iss", json!("us")), ("jti", json!("1")), ("iat", json!(1))] {
        assert!(verify(&claims_with(claim, &value)).is_ok(), "{claim}");
    }
}

fn claims_with(claim: &str, value: &Value) -> String {
    claims(|claims| claims[claim] = value.clone())
}

#[test]
fn a_ticket_is_no_token_and_a_token_no_ticket() {
    let keys = keys(KEY, &[]);
    let token = keys
        .mint("me", &rights(&[Scope::Read], "", false), NOW)
        .unwrap();
    let holder = keys.verify(&token, Audience::Api, NOW).unwrap();
    let ticket = keys.ticket(&holder, &View::default(), NOW).unwrap();
    assert!(keys.verify(&ticket.text, Audience::Connect, NOW).is_ok());
    assert_eq!(
        keys.verify(&ticket.text, Audience::Api, NOW).err(),
        Some(Refusal::WrongAudience)
    );
    assert_eq!(
        keys.verify(&token, Audience::Connect, NOW).err(),
        Some(Refusal::WrongAudience)
    );
}

#[test]
fn a_ticket_is_for_a_minute_and_only_to_read() {
    let keys = keys(KEY, &[]);
    let given = rights(&[Scope::Read, Scope::Write], "type:open", true);
    let token = keys.mint("me", &given, NOW).unwrap();
    let holder = keys.verify(&token, Audience::Api, NOW).unwrap();
    let asked = "tag:welcome".parse().unwrap();
    let view = holder.rights.narrow(&asked).unwrap();
    let ticket = keys.ticket(&holder, &view, NOW).unwrap();
    assert_eq!(ticket.expires_at, NOW.plus(60_000));
    let connected = keys
        .verify(&ticket.text, Audience::Connect, NOW.plus(59_999))
        .unwrap();
    assert_eq!(
        connected.rights,
        Rights {
            scopes: Scopes::of(&[Scope::Read]),
            asked: view.asked,
            ..given
        }
    );
    assert_eq!(*connected.subject, "me");
    let late = keys.verify(&ticket.text, Audience::Connect, NOW.plus(70_000));
    assert_eq!(late.err(), Some(Refusal::Expired));
}

#[test]
fn nothing_of_a_token_is_shown_by_debug() {
    let keys = keys(KEY, &[OTHER]);
    let holder = keys
        .verify(&claims_with("sub", &json!("canary")), Audience::Api, NOW)
        .unwrap();
    let ticket = keys.ticket(&holder, &View::default(), NOW).unwrap();
    let shown = format!("{keys:?} {holder:?} {ticket:?}");
    for hidden in [KEY, OTHER, "canary", ticket.text.as_str()] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
