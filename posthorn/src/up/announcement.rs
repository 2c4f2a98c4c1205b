//! What is printed when the stack is ready: addresses, and commands to paste into a shell.

use std::path::Path;

use crate::stack::{Stack, Urls};
use crate::tools::out::{data_dir_option, printable, quoted};
use crate::webhook;

/// How `posthorn up` says that it is ready.
///
/// `data_dir` is where the tools look, and `is_kept` whether the data is kept there.
pub(super) fn text(stack: &Stack, data_dir: &Path, is_kept: bool) -> String {
    let urls = stack.urls();
    let (data, kept) = if is_kept {
        let data = printable(&data_dir.to_string_lossy()).into_owned();
        (data, "everything stored stays")
    } else {
        ("in memory, gone when it stops".to_owned(), "nothing stays")
    };
    let keys = urls.webhook_keys.join(", ");
    let key = match keys.as_str() {
        "" => "none: the secret in the URL alone lets a batch in".into(),
        keys => printable(keys),
    };
    format!(
        "Posthorn is running.\n\n  \
         Page      {page}\n  \
         Webhook   {webhook}\n  \
         Key       {key}\n  \
         Data      {data}\n\n\
         Try, in another terminal:\n\n{commands}\n\
         Ctrl-C stops it; {kept}.\n",
        page = page(urls),
        webhook = urls.webhook_url,
        commands = commands(urls, data_dir),
    )
}

/// The page's address; what is behind the `#` is not sent to any server.
fn page(urls: &Urls) -> String {
    format!("{}/#token={}", urls.http, webhook::encoded(&urls.token))
}

fn commands(urls: &Urls, data_dir: &Path) -> String {
    let data_dir = data_dir_option(data_dir);
    let http = &urls.http;
    let history = request(&urls.token, &format!("{http}/v1/events?limit=3"));
    let bill = request(&urls.stack_token, &format!("{http}/_stack/bill"));
    format!(
        "  cargo run -- simulate{data_dir}          # a Mandrill that sends five events a second\n  \
         cargo run -- listen{data_dir}            # the feed in a terminal\n  \
         cargo run -- receive                     # an endpoint on port 8888 for outbound webhooks\n  \
         cargo run -- seed events/seed.json{data_dir}  # endpoints at that port, and events\n  \
         {history}\n  \
         {bill}   # what it would have cost on AWS\n",
    )
}

fn request(token: &str, url: &str) -> String {
    let header = quoted(&format!("Authorization: Bearer {token}")).into_owned();
    // Without globbing, the brackets of an IPv6 address are no pattern.
    format!("curl -gs -H {header} {}", quoted(url))
}
