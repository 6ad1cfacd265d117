//! Objects that are objects, and words that are words.
//!
//! What serde derives also takes a list for an object (fields by position) and an object for a word of an enumeration. Neither is in the
//! OpenAPI document, so neither is taken. With `#[serde(remote = "Self")]` the derived function is an ordinary one, and the macros here
//! make the trait's of it.

/// `Deserialize` for types whose JSON is an object.
#[macro_export]
macro_rules! wire_object {
    ($($type:ident),+) => { $(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;
                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("an object (", stringify!($type), ")"))
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        $type::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_map(Object)
            }
        }
    )+ };
}

/// `Deserialize` for enumerations whose JSON is a word.
#[macro_export]
macro_rules! wire_word {
    ($($type:ident),+) => { $(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Word;
                impl serde::de::Visitor<'_> for Word {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("a word (", stringify!($type), ")"))
                    }

                    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<$type, E> {
                        $type::deserialize(serde::de::value::StrDeserializer::new(word))
                    }
                }
                deserializer.deserialize_str(Word)
            }
        }
    )+ };
}

/// `Serialize` for those that go both ways: `remote` makes an ordinary function of it, too.
#[macro_export]
macro_rules! wire_written {
    ($($type:ident),+) => { $(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $type::serialize(self, serializer)
            }
        }
    )+ };
}

pub use {wire_object as object, wire_word as word, wire_written as written};
