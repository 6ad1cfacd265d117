//! Exact bytes in JSON.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::STANDARD};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{word, written};

word!(Encoding);
written!(Encoding);

/// RFC 4648 section 4, with the padding; unused bits of the last digit do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical).with_decode_allow_trailing_bits(true),
);

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeriveDeserialize, Serialize, ToSchema)]
#[serde(remote = "Self")]
pub enum Encoding {
    /// The bytes are the text's UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// RFC 4648 section 4, with padding.
    #[serde(rename = "base64")]
    Base64,
}

/// Bytes that a client sends: a text, or `{"data": …, "encoding": …}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data(pub Vec<u8>);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or an object with data and encoding")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Data, E> {
        Ok(Data(text.as_bytes().to_vec()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Data, E> {
        Ok(Data(text.into_bytes()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
        let (mut data, mut encoding): (Option<String>, Option<Encoding>) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "data" if data.is_none() => data = Some(map.next_value()?),
                "encoding" if encoding.is_none() => encoding = Some(map.next_value()?),
                "data" => return Err(Error::duplicate_field("data")),
                "encoding" => return Err(Error::duplicate_field("encoding")),
                other => return Err(Error::unknown_field(other, &["data", "encoding"])),
            }
        }
        let data = data.ok_or_else(|| Error::missing_field("data"))?;
        match encoding.ok_or_else(|| Error::missing_field("encoding"))? {
            Encoding::Utf8 => Ok(Data(data.into_bytes())),
            Encoding::Base64 => match BASE64.decode(&data) {
                Ok(bytes) => Ok(Data(bytes)),
                Err(_) => Err(Error::invalid_value(Unexpected::Other("data"), &"base64 (RFC 4648 section 4, with padding)")),
            },
        }
    }
}

impl PartialSchema for Data {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).description(Some("The bytes are its UTF-8."));
        let encoded = |encoding: &str, data: ObjectBuilder| {
            ObjectBuilder::new()
                .property("data", data.schema_type(SchemaType::Type(Type::String)))
                .property("encoding", ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some([encoding])))
                .required("data")
                .required("encoding")
                .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        };
        let base64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";
        let one = OneOfBuilder::new()
            .item(text)
            .item(encoded("utf-8", ObjectBuilder::new()))
            .item(encoded("base64", ObjectBuilder::new().pattern(Some(base64)).content_encoding("base64")))
            .description(Some("Exact bytes: a text, or text with its encoding."));
        RefOr::T(Schema::OneOf(one.build()))
    }
}

impl ToSchema for Data {
    fn name() -> std::borrow::Cow<'static, str> {
        "Data".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let _ = (schemas, Ref::from_schema_name("Data"));
    }
}

/// Bytes that a program wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Output {
    /// The bytes, written as the encoding says.
    pub data: String,
    /// `utf-8` where the bytes are that, else `base64`.
    pub encoding: Encoding,
    /// Whether more was written than is kept.
    pub truncated: bool,
}

impl Output {
    /// As text where the bytes are text.
    #[must_use]
    pub fn new(bytes: Vec<u8>, truncated: bool) -> Self {
        match String::from_utf8(bytes) {
            Ok(data) => Self { data, encoding: Encoding::Utf8, truncated },
            Err(error) => Self { data: STANDARD.encode(error.as_bytes()), encoding: Encoding::Base64, truncated },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, String> {
        serde_json::from_str::<Data>(text).map(|data| data.0).map_err(|error| error.to_string())
    }

    #[test]
    fn text_and_encoded_text_are_bytes() {
        assert_eq!(read(r#""é""#).unwrap(), "é".as_bytes());
        assert_eq!(read(r#"{"data": "hi", "encoding": "utf-8"}"#).unwrap(), b"hi");
        assert_eq!(read(r#"{"encoding": "base64", "data": "/wA="}"#).unwrap(), [255, 0]);
        for (bad, says) in [
            (r#"{"data": "x", "encoding": "base64"}"#, "base64"),
            (r#"{"data": "/wA", "encoding": "base64"}"#, "with padding"),
            (r#"{"data": "x"}"#, "missing field `encoding`"),
            (r#"{"data": "x", "encoding": "latin1"}"#, "unknown variant `latin1`"),
            (r#"{"data": "x", "encoding": "utf-8", "more": 1}"#, "unknown field `more`"),
            (r#"{"data": "x", "data": "y", "encoding": "utf-8"}"#, "duplicate field `data`"),
            ("5", "a text, or an object"),
            (r#""\ud800\u0020""#, "surrogate"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn what_a_program_wrote_comes_back_exactly() {
        for bytes in [&b"plain\n"[..], b"", &[0xff, 0xfe, 0], "é\0".as_bytes()] {
            let output = Output::new(bytes.to_vec(), false);
            let sent = serde_json::json!({"data": output.data, "encoding": output.encoding});
            assert_eq!(serde_json::from_value::<Data>(sent).unwrap().0, bytes);
        }
    }
}
