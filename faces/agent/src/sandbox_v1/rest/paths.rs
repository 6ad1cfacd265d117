//! Which call a method and a path mean.

use enclos_host::axum::http::Method;

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    CreateSandbox,
    GetSandbox,
    ListSandboxes,
    StartSandbox,
    StopSandbox,
    DestroySandbox,
    Exec,
    CreateSession,
    ListSessions,
    GetSession,
    DestroySession,
    SessionExec,
    CreateCodebase,
    GetCodebase,
    ListCodebases,
    DeleteCodebase,
    ListFiles,
}

/// `*` stands for the one id of a path.
const ROUTES: [(&str, &[&str], Call); 17] = [
    ("POST", &["v1", "sandboxes"], Call::CreateSandbox),
    ("GET", &["v1", "sandboxes"], Call::ListSandboxes),
    ("GET", &["v1", "sandboxes", "*"], Call::GetSandbox),
    ("DELETE", &["v1", "sandboxes", "*"], Call::DestroySandbox),
    ("POST", &["v1", "sandboxes", "*", "start"], Call::StartSandbox),
    ("POST", &["v1", "sandboxes", "*", "stop"], Call::StopSandbox),
    ("POST", &["v1", "sandboxes", "*", "exec"], Call::Exec),
    ("POST", &["v1", "sandboxes", "*", "sessions"], Call::CreateSession),
    ("GET", &["v1", "sandboxes", "*", "sessions"], Call::ListSessions),
    ("GET", &["v1", "sessions", "*"], Call::GetSession),
    ("DELETE", &["v1", "sessions", "*"], Call::DestroySession),
    ("POST", &["v1", "sessions", "*", "exec"], Call::SessionExec),
    ("POST", &["v1", "codebases"], Call::CreateCodebase),
    ("GET", &["v1", "codebases"], Call::ListCodebases),
    ("GET", &["v1", "codebases", "*"], Call::GetCodebase),
    ("DELETE", &["v1", "codebases", "*"], Call::DeleteCodebase),
    ("GET", &["v1", "codebases", "*", "files"], Call::ListFiles),
];

/// What a request means.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A call, and the id in its path.
    Call(Call, String),
    /// The path has calls, but none by this method.
    OtherMethod,
    /// Nothing has this path.
    Nothing,
}

/// Looks a request up.
pub fn find(method: &Method, path: &str) -> Found {
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    let mut found = Found::Nothing;
    for (wanted, route, call) in ROUTES {
        if route.len() != parts.len() || !route.iter().zip(&parts).all(|(known, part)| *known == "*" || known == part) {
            continue;
        }
        if method.as_str() == wanted {
            let id = route.iter().position(|known| *known == "*").map(|place| unescaped(parts[place], false));
            return Found::Call(call, id.unwrap_or_default());
        }
        found = Found::OtherMethod;
    }
    found
}

/// Undoes percent encoding (RFC 3986 section 2.1); `plus`: a plus is a blank, as forms write it. What is no encoding stays, and bytes that are no
/// UTF-8 are replaced: such an id or token is none of ours, and refused as such.
pub fn unescaped(text: &str, plus: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        rest = behind;
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &behind[2..];
            }
            (b'+', _, _) if plus => bytes.push(b' '),
            (other, _, _) => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_and_no_other() {
        for (method, route, call) in ROUTES {
            let path = format!("/{}", route.join("/").replace('*', "sb_%31"));
            let id = if path.contains("sb_") { "sb_1" } else { "" };
            assert_eq!(find(&method.parse().unwrap(), &path), Found::Call(call, id.to_owned()), "{method} {path}");
            assert_eq!(find(&Method::PATCH, &path), Found::OtherMethod);
        }
        assert_eq!(find(&Method::GET, "/v1/sandboxes/"), Found::Call(Call::GetSandbox, String::new()));
        for path in ["/", "", "/v1", "/v1/sandboxes/a/b/c", "/v2/sandboxes", "//v1/sandboxes", "/v1/sandboxes/a/"] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn what_is_no_encoding_stays() {
        for (text, plain) in [("a%2Fb", "a/b"), ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%e9", "\u{fffd}"), ("a+b", "a+b")] {
            assert_eq!(unescaped(text, false), plain);
        }
        assert_eq!(unescaped("a+b%2B", true), "a b+");
    }
}
