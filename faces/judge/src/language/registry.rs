//! Every language that is defined.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use enclos_sandbox::spec::policy::edit_distance;

use super::{Definition, DefinitionError};

macro_rules! built_in {
    ($($file:literal),+ $(,)?) => {
        /// Name and text of every built-in file. A test finds a file that is missing here.
        const BUILT_IN: &[(&str, &str)] = &[$(($file, include_str!(concat!("../../languages/", $file)))),+];
    };
}

built_in!(
    "ada.toml",
    "brainfuck.toml",
    "c.toml",
    "cpp.toml",
    "csharp.toml",
    "d.toml",
    "fsharp.toml",
    "go.toml",
    "haskell.toml",
    "java.toml",
    "javascript.toml",
    "lua.toml",
    "ocaml.toml",
    "pascal.toml",
    "perl.toml",
    "php.toml",
    "prolog.toml",
    "python.toml",
    "ruby.toml",
    "rust.toml",
    "scheme.toml",
    "vb.toml",
);

/// Largest file of a user's directory that is read.
const LARGEST: u64 = 1 << 20;

/// Languages by key.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    languages: BTreeMap<String, Arc<Definition>>,
    /// Alias to key.
    aliases: BTreeMap<String, String>,
}

impl Registry {
    /// The built-in languages, and those of `directory`'s `*.toml` files over them.
    ///
    /// # Errors
    /// A directory that cannot be read, or a file that makes no sense: one line with the file's name.
    pub fn load(directory: Option<&Path>) -> Result<Registry, DefinitionError> {
        let mut registry = Registry::default();
        for (file, text) in BUILT_IN {
            registry.add(Definition::parse(file, text)?);
        }
        let Some(directory) = directory else { return Ok(registry) };
        let error = |file: &str, message: String| DefinitionError { file: file.to_owned(), message };
        let entries = std::fs::read_dir(directory).map_err(|e| error(&directory.display().to_string(), e.to_string()))?;
        let mut files: Vec<_> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
        files.sort();
        for path in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let size = std::fs::metadata(&path).map_err(|e| error(&name, e.to_string()))?.len();
            if size > LARGEST {
                return Err(error(&name, format!("{size} bytes are too many for a language: at most {LARGEST}")));
            }
            let text = std::fs::read_to_string(&path).map_err(|e| error(&name, e.to_string()))?;
            registry.add(Definition::parse(&name, &text)?);
        }
        Ok(registry)
    }

    /// Adds one; it takes the place of one with the same key, and its names that of another's aliases.
    pub fn add(&mut self, definition: Definition) {
        let key = definition.key();
        self.aliases.retain(|_, of| *of != key);
        self.aliases.remove(&key);
        for alias in &definition.aliases {
            self.aliases.insert(alias.to_lowercase(), key.clone());
        }
        self.languages.insert(key, Arc::new(definition));
    }

    /// By key, display name or alias, in any case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Definition>> {
        let key = name.to_lowercase();
        self.languages.get(&key).or_else(|| self.languages.get(self.aliases.get(&key)?))
    }

    /// The key or alias that is nearest to a name nobody defined; `None` when none is near.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        // A longer one is near to nothing, and comparing costs its length.
        if name.chars().count() > 32 {
            return None;
        }
        let near = |known: &&String| edit_distance(&name, known);
        let found = self.languages.keys().chain(self.aliases.keys()).min_by_key(near)?;
        (near(&found) <= 2).then(|| found.clone())
    }

    /// All, by key.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Arc<Definition>)> {
        self.languages.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_is_there_and_makes_sense() {
        let registry = Registry::load(None).unwrap();
        assert_eq!(registry.languages.len(), BUILT_IN.len(), "two files define one key");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("languages");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(BUILT_IN.iter().any(|(file, _)| *file == name), "{name} is not built in");
        }
    }

    #[test]
    fn the_languages_of_camisole_and_its_readme_are_defined() {
        let registry = Registry::load(None).unwrap();
        let code = "ada c d c# c++ go haskell java javascript lua ocaml pascal perl php prolog python ruby rust scheme";
        for key in code.split(' ').chain(["brainfuck", "f#", "visual basic"]) {
            assert_eq!(registry.find(&key.to_uppercase()).unwrap().key(), key);
        }
    }

    #[test]
    fn a_users_file_adds_and_takes_the_place_of_a_built_in_one() {
        let directory = tempfile::tempdir().unwrap();
        let text = |name: &str| {
            format!(
                "name = \"{name}\"\naliases = [\"snek\"]\nextension = \".x\"\nreference = \"\"\n[[program]]\ncommand = \"x\"\n[run]\nprogram = \"x\"\n"
            )
        };
        std::fs::write(directory.path().join("python.toml"), text("Python")).unwrap();
        std::fs::write(directory.path().join("notes.txt"), "no language").unwrap();
        let registry = Registry::load(Some(directory.path())).unwrap();
        assert_eq!(registry.find("Snek").unwrap().extension, ".x");
        assert!(registry.find("py").is_none(), "the names of the one before are gone");
        std::fs::write(directory.path().join("bad.toml"), "name = 3").unwrap();
        let message = Registry::load(Some(directory.path())).unwrap_err().to_string();
        assert!(message.starts_with("bad.toml: line 1"), "{message}");
    }

    #[test]
    fn a_name_nobody_defined_has_a_nearest_one() {
        let registry = Registry::load(None).unwrap();
        assert_eq!(registry.nearest("pyton").as_deref(), Some("python"));
        assert_eq!(registry.nearest("foobar"), None);
    }
}
