//! The text of Server-Sent Events. ("HTML", section 9.2.6.)

use bytes::Bytes;

/// How soon a browser comes back after the stream has ended, in milliseconds: at once, but for a
/// little, since an end is what each stream comes to.
const RETRY_MS: u32 = 1_000;

/// The beginning of a stream. The comment goes out at once, so that whatever stands in between sees
/// that there is something.
pub(crate) fn beginning() -> Bytes {
    Bytes::from(format!(": posthorn\nretry: {RETRY_MS}\n\n"))
}

/// A comment, which keeps the connection in use.
pub(crate) fn heartbeat() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// An event, whose `data` is JSON, and so of one line. With an id, a browser that comes back says
/// so.
pub(crate) fn event(name: &str, id: Option<&str>, data: &str) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    // Some write JSON with line breaks: what was received is passed on as it is.
    let data = data.replace('\r', "").replace('\n', "\ndata: ");
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_id_its_name_and_its_lines_of_data() {
        assert_eq!(
            event("live", Some("c1"), "{\"a\":\r\n1}"),
            "id: c1\nevent: live\ndata: {\"a\":\ndata: 1}\n\n"
        );
        assert_eq!(event("error", None, "{}"), "event: error\ndata: {}\n\n");
    }
}
