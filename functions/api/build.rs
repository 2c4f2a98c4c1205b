//! Takes from the archive of Swagger UI the two files that the page at `/docs` needs, compressed as
//! small as they get: they are most of what the page adds to the function.

use std::error::Error;
use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// The other bundles, the top bar and all source maps are not needed.
const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

/// How a style names its source map, at its end.
const MAP: &str = "/*# sourceMappingURL=";

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script where to write by a variable"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let directory = std::env::var("OUT_DIR")?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for name in FILES {
        let within = format!("/dist/{name}");
        let path = archive
            .file_names()
            .filter_map(Result::ok)
            .find(|path| path.ends_with(&within))
            .ok_or(format!("no {name} in the archive"))?
            .into_owned();
        let target = Path::new(&directory).join(format!("{name}.gz"));
        let mut text = String::new();
        archive.by_name(&path)?.read_to_string(&mut text)?;
        // A map that is not there would be asked for.
        let end = text.rfind(MAP).unwrap_or(text.len());
        let mut encoder = GzEncoder::new(File::create(target)?, Compression::best());
        encoder.write_all(&text.as_bytes()[..end])?;
        encoder.finish()?;
    }
    Ok(())
}
