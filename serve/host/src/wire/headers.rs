//! What the head of a request says.

use hyper::HeaderMap;
use hyper::header::{ACCEPT, HOST, HeaderValue, ORIGIN};

/// Whether the client asks for a stream of server-sent events.
#[must_use]
pub fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut types = accepted.filter_map(|range| range.split(';').next());
    types.any(|range| range.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// Whether a WebSocket may be opened: a browser says from which site a page connects, and asks nobody for leave, so pages of other sites are
/// refused.
#[must_use]
pub fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    let (origin, host) = (text(origin), headers.get(HOST).map(text).unwrap_or_default());
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn events_are_asked_for_by_name() {
        for good in ["text/event-stream", "application/json;q=0.1, Text/Event-Stream;q=0.9"] {
            assert!(wants_events(&headers(&[("accept", good)])), "{good}");
        }
        for bad in ["", "*/*", "text/*", "text/event-streams", ";;,"] {
            assert!(!wants_events(&headers(&[("accept", bad)])), "{bad}");
        }
        assert!(!wants_events(&HeaderMap::new()));
    }

    #[test]
    fn pages_of_other_sites_are_known_by_their_origin() {
        for (origin, same) in [("http://here:1", true), ("https://HERE:1", true), ("http://here", false), ("null", false), ("", false)] {
            assert_eq!(same_origin(&headers(&[("host", "here:1"), ("origin", origin)])), same, "{origin}");
        }
        assert!(same_origin(&headers(&[("host", "here:1")])));
    }
}
