//! Which layers an image has: OCI's `index.json` (OCI image layout specification) and the `manifest.json` of `docker save`.

use std::io::{BufReader, Read};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::inflate::inflate;
use super::rootfs::Rootfs;
use super::{ImageError, Result, layer};

/// Most bytes of a manifest or configuration.
const MOST_DOCUMENT: u64 = 4 << 20;
/// Most indexes in each other.
const MOST_NESTED: usize = 3;

/// What an image's maker wants of processes in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `NAME=VALUE`.
    pub env: Vec<String>,
    /// Where they start.
    pub workdir: String,
}

/// Where the parts of an image are read from.
pub trait Parts {
    /// Opens one; `None`: it is not there.
    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>>;
    /// What a source of OCI's kind, and of Docker's, is called.
    fn words(&self) -> (&'static str, &'static str);
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    platform: Option<Platform>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(default)]
    config: Option<Process>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Process {
    env: Option<Vec<String>>,
    working_dir: Option<String>,
}

/// Puts the layers of an image over each other; `None`: there is no manifest.
pub fn add(parts: &dyn Parts, rootfs: &mut Rootfs) -> Result<Option<(&'static str, Config)>> {
    let (oci, docker) = parts.words();
    if let Some(index) = parts.open("index.json")? {
        let index: Index = document("index.json", &read("index.json", index)?)?;
        let manifest = choose(parts, index, 0)?;
        let config = config(&blob(parts, &manifest.config)?)?;
        count(manifest.layers.len(), rootfs)?;
        for descriptor in &manifest.layers {
            let (name, hex) = place(&descriptor.digest)?;
            if descriptor.media_type.contains("encrypted") {
                return Err(ImageError::Refused(format!("layer {name} is encrypted")));
            }
            let from = parts.open(&name)?.ok_or_else(|| missing(&name))?;
            let mut from = Checked { from, hasher: Sha256::new() };
            unpack(&mut from, rootfs)?;
            from.check(&name, &hex)?;
        }
        return Ok(Some((oci, config)));
    }
    let Some(manifest) = parts.open("manifest.json")? else { return Ok(None) };
    let saved: Vec<Saved> = document("manifest.json", &read("manifest.json", manifest)?)?;
    let [saved] = &saved[..] else {
        return Err(ImageError::Refused(format!("manifest.json names {} images: save one by itself", saved.len())));
    };
    let config = config(&read(&saved.config, parts.open(&saved.config)?.ok_or_else(|| missing(&saved.config))?)?)?;
    count(saved.layers.len(), rootfs)?;
    for name in &saved.layers {
        unpack(&mut parts.open(name)?.ok_or_else(|| missing(name))?, rootfs)?;
    }
    Ok(Some((docker, config)))
}

fn unpack(from: &mut dyn Read, rootfs: &mut Rootfs) -> Result<()> {
    let bad = |error: std::io::Error| ImageError::Refused(format!("a layer cannot be read: {error}"));
    let mut from = BufReader::with_capacity(128 << 10, from);
    {
        // Headers, names and what is not unpacked count too: not more than the files may be, and a gigabyte.
        let most = rootfs.bounds().bytes.saturating_add(1 << 30);
        let mut inflated = inflate(&mut from).map_err(bad)?.take(most);
        layer::apply(&mut inflated, rootfs)?;
        // What follows the archive's end is padding, and part of what the digest is of.
        std::io::copy(&mut inflated, &mut std::io::sink()).map_err(bad)?;
        if inflated.limit() == 0 {
            return Err(ImageError::Refused(format!("a layer has more than {most} bytes when decompressed")));
        }
    }
    std::io::copy(&mut from, &mut std::io::sink()).map_err(bad).map(drop)
}

fn count(layers: usize, rootfs: &Rootfs) -> Result<()> {
    let most = rootfs.bounds().layers;
    if layers > most {
        return Err(ImageError::Refused(format!("the image has {layers} layers: {most} are the most")));
    }
    Ok(())
}

/// The manifest for Linux on this machine.
fn choose(parts: &dyn Parts, index: Index, nested: usize) -> Result<Manifest> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |descriptor: &Descriptor| match &descriptor.platform {
        None => true,
        Some(platform) => platform.os == "linux" && platform.architecture == architecture,
    };
    let fitting: Vec<&Descriptor> = index.manifests.iter().filter(|descriptor| fits(descriptor)).collect();
    let [descriptor] = fitting[..] else {
        return Err(ImageError::Refused(format!(
            "index.json names {} images for linux/{architecture}, of {} in all: one is right",
            fitting.len(),
            index.manifests.len()
        )));
    };
    let text = blob(parts, descriptor)?;
    if descriptor.media_type.contains("index") || descriptor.media_type.contains("manifest.list") {
        if nested >= MOST_NESTED {
            return Err(ImageError::Refused("index.json leads to an index of an index of an index".to_owned()));
        }
        return choose(parts, document("index", &text)?, nested + 1);
    }
    document("manifest", &text)
}

fn blob(parts: &dyn Parts, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let (name, hex) = place(&descriptor.digest)?;
    let bytes = read(&name, parts.open(&name)?.ok_or_else(|| missing(&name))?)?;
    let mut hasher = Sha256::new();
    hasher.update(&bytes);
    same(&name, &hex, hasher)?;
    Ok(bytes)
}

fn place(digest: &str) -> Result<(String, String)> {
    match digest.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 && hex.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)) => {
            Ok((format!("blobs/sha256/{hex}"), hex.to_owned()))
        }
        _ => {
            let shown: String = digest.chars().take(80).collect();
            Err(ImageError::Refused(format!("the digest {shown:?} is none: sha256: and 64 hexadecimal digits are right")))
        }
    }
}

fn missing(name: &str) -> ImageError {
    let name: String = name.chars().take(120).collect();
    ImageError::Refused(format!("the archive names {name:?} and does not hold it"))
}

fn read(name: &str, from: Box<dyn Read + '_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let bad = |why: String| ImageError::Refused(format!("{name:?}: {why}"));
    from.take(MOST_DOCUMENT + 1).read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
    if bytes.len() as u64 > MOST_DOCUMENT {
        return Err(bad(format!("more than {MOST_DOCUMENT} bytes")));
    }
    Ok(bytes)
}

fn document<T: for<'a> Deserialize<'a>>(name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| ImageError::Refused(format!("{name} is not what it should be: {error}")))
}

fn config(bytes: &[u8]) -> Result<Config> {
    let process = document::<ImageConfig>("the image's configuration", bytes)?.config.unwrap_or_default();
    let env = process.env.unwrap_or_default();
    let fine = |word: &String| word.split_once('=').is_some_and(|(name, _)| !name.is_empty()) && !word.contains('\0');
    Ok(Config { env: env.into_iter().filter(fine).collect(), workdir: process.working_dir.unwrap_or_default() })
}

struct Checked<'a> {
    from: Box<dyn Read + 'a>,
    hasher: Sha256,
}

impl Read for Checked<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(into)?;
        self.hasher.update(&into[..count]);
        Ok(count)
    }
}

impl Checked<'_> {
    fn check(self, name: &str, hex: &str) -> Result<()> {
        same(name, hex, self.hasher)
    }
}

fn same(name: &str, hex: &str, hasher: Sha256) -> Result<()> {
    use std::fmt::Write as _;
    let found = hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    if found == hex { Ok(()) } else { Err(ImageError::Refused(format!("{name}: its contents have another digest ({found})"))) }
}
