//! Root file systems that sandboxes may name: those of the configuration, and those that an operator brought in.

use std::path::{Path, PathBuf};

use super::{Inner, fault};
use crate::api::{AgentError, Image, Result};
use crate::image::{ImageError, Root};

/// The root of a sandbox's image.
#[derive(Debug)]
pub enum Shown {
    /// A directory that the configuration names.
    Directory(PathBuf),
    /// One that was brought in, held so that nobody removes it meanwhile.
    Held(Root),
}

impl Shown {
    /// Where it is on the host.
    pub fn path(&self) -> &Path {
        match self {
            Shown::Directory(path) => path,
            Shown::Held(root) => root.path(),
        }
    }

    /// Variables that its maker wants.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        let env: &[String] = match self {
            Shown::Directory(_) => &[],
            Shown::Held(root) => &root.record().env,
        };
        env.iter().filter_map(|line| line.split_once('='))
    }
}

impl Inner {
    /// The root of an image.
    pub fn root(&self, name: &str) -> Result<Shown> {
        if let Some((_, path)) = self.settings.images.iter().find(|(known, _)| known == name) {
            return Ok(Shown::Directory(path.clone()));
        }
        match self.images.root(name) {
            Ok(root) => Ok(Shown::Held(root)),
            Err(ImageError::NotFound(_) | ImageError::Name { .. }) => Err(AgentError::not_found("image", name)),
            Err(error) => Err(fault::internal("an image", &error)),
        }
    }

    /// Every image.
    pub fn list_images(&self) -> Result<Vec<Image>> {
        let known = self.images.list().map_err(|error| fault::internal("the images", &error))?;
        let mut images: Vec<Image> = known
            .into_iter()
            .map(|record| Image { name: record.name, source: record.source, registered_at: record.registered_at })
            .collect();
        for (name, _) in &self.settings.images {
            images.retain(|image| image.name != *name);
            images.push(Image { name: name.clone(), source: "directory".to_owned(), registered_at: self.opened_at });
        }
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }
}
