//! `enclos agent image`.

use std::time::{SystemTime, UNIX_EPOCH};

use enclos_host::table::{Table, mib};
use serde_json::{Value, json};

use super::arguments::{Image, ImageAction};
use super::{say, state};
use crate::image::{Bounds, Images, Record, Source};

/// Carries it out; gives what to print.
///
/// # Errors
/// One line.
pub fn run(wanted: &Image) -> Result<String, String> {
    let images = Images::open(&state::server(wanted.state.as_deref())?.join("agent")).map_err(|error| error.to_string())?;
    match &wanted.action {
        ImageAction::Add(name, path) => {
            let source = if path.is_dir() { Source::Directory(path) } else { Source::Archive(path) };
            let added = images.add(name, source, Bounds::default(), now()).map_err(|error| error.to_string())?;
            if added.left_out.special > 0 {
                say(&format!("{} devices, FIFOs and sockets are left out", added.left_out.special));
            }
            if added.left_out.set_id > 0 {
                say(&format!("{} files and directories lost their set-id bits", added.left_out.set_id));
            }
            Ok(if wanted.json { text(&document(&added.image)) } else { table(std::slice::from_ref(&added.image)) })
        }
        ImageAction::List => {
            let list = images.list().map_err(|error| error.to_string())?;
            Ok(if wanted.json { text(&json!({ "images": list.iter().map(document).collect::<Vec<_>>() })) } else { table(&list) })
        }
        ImageAction::Remove(names) => {
            for name in names {
                images.remove(name).map_err(|error| error.to_string())?;
            }
            Ok(String::new())
        }
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

fn document(image: &Record) -> Value {
    json!({
        "name": image.name,
        "source": image.source,
        "registered_at": image.registered_at,
        "entries": image.entries,
        "bytes": image.bytes,
        "env": image.env,
        "workdir": image.workdir,
    })
}

fn table(images: &[Record]) -> String {
    let mut table = Table::new(&["image", "from", "entries", "size"]);
    for image in images {
        table.row([image.name.clone(), image.source.clone(), image.entries.to_string(), mib(Some(image.bytes))]);
    }
    table.text()
}
