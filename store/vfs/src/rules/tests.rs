use proptest::prelude::*;

use super::*;

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn rules(list: &[Rule]) -> Rules {
    Rules::new(list).unwrap()
}

fn levels(rules: &Rules, expected: &[(&str, Level)]) {
    for (text, level) in expected {
        assert_eq!(rules.level(&path(text)), *level, "{}", rules.explain(&path(text)));
    }
}

#[test]
fn the_dossiers_own_cases() {
    levels(&Rules::default(), &[("a", Level::None), ("", Level::None)]);
    let exact = rules(&[Rule::glob("/**", Level::None), Rule::glob("/docs/readme.md", Level::Read).kind(Kind::File)]);
    levels(&exact, &[("docs/readme.md", Level::Read), ("sub/docs/readme.md", Level::None), ("docs", Level::None)]);
    for pattern in ["/docs", "/docs/", "docs"] {
        let directory = rules(&[Rule::glob(pattern, Level::Read).kind(Kind::Directory)]);
        levels(
            &directory,
            &[
                ("docs", Level::Read),
                ("/docs/", Level::Read),
                ("docs/a/b", Level::Read),
                ("other/docs", Level::None),
                ("docsx", Level::None),
            ],
        );
    }
    let kinds = rules(&[
        Rule::glob("**/*", Level::View).priority(1),
        Rule::glob("/docs", Level::Read).kind(Kind::Directory).priority(10),
        Rule::glob("/docs/x", Level::Write).kind(Kind::File).priority(100),
    ]);
    levels(&kinds, &[("docs/x", Level::Write), ("docs/y", Level::Read), ("z", Level::View)]);
    let same = |priority| {
        [Rule::glob("/d/f", Level::Write).kind(Kind::File), Rule::glob("/d", Level::Read).kind(Kind::Directory).priority(priority)]
    };
    levels(&rules(&same(0)), &[("d/f", Level::Write)]);
    levels(&rules(&same(1)), &[("d/f", Level::Read)]);
}

#[test]
fn w13_agent_safe_hides_what_it_says() {
    let safe = rules(&Preset::AgentSafe.rules());
    for hidden in [
        ".env",
        "app/.env.local",
        "secrets",
        "secrets/key",
        "app/secrets/db/x",
        "a.key",
        "b/c.pem",
        "credentials.json",
        "x/credentials",
        ".git",
        ".git/config",
        "sub/.git/HEAD",
    ] {
        assert_eq!(safe.level(&path(hidden)), Level::None, "{hidden}");
    }
    levels(
        &safe,
        &[
            ("main.py", Level::Read),
            ("output/x", Level::Write),
            ("output", Level::Write),
            ("tmp/a/b", Level::Write),
            ("output/.env", Level::None),
        ],
    );
    levels(&safe, &[(".gitignore", Level::Read), ("app/output/x", Level::Read), (".env.d/inner", Level::None)]);
    assert_eq!(safe.promised(), [path("output"), path("tmp")]);
    let development = rules(&Preset::Development.rules());
    levels(&development, &[("a/b", Level::Write), (".env", Level::None), ("secrets/x", Level::None), (".git/config", Level::Write)]);
    for (preset, level) in [(Preset::ReadOnly, Level::Read), (Preset::FullAccess, Level::Write), (Preset::ViewOnly, Level::View)] {
        levels(&rules(&preset.rules()), &[("a", level), ("a/b/.c", level)]);
        assert_eq!(preset.as_str().parse(), Ok(preset));
    }
    assert!("agent_safe".parse::<Preset>().unwrap_err().to_string().contains("agent-safe"));
}

#[test]
fn w14_the_order_of_the_list_does_not_matter() {
    let list = [
        Rule::glob("**/*", Level::Read),
        Rule::glob("**/*.env", Level::None),
        Rule::glob("/a/**", Level::Write),
        Rule::glob("**/x?", Level::View),
        Rule::glob("**/?x", Level::Write),
    ];
    let there = rules(&list);
    let back = rules(&list.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(there.digest(), back.digest());
    for (text, level) in [("prod.env", Level::None), ("a/b", Level::Write), ("b", Level::Read), ("xx", Level::View)] {
        levels(&there, &[(text, level)]);
        levels(&back, &[(text, level)]);
    }
    // The one exception: the same pattern, kind and priority again replaces the rule before.
    levels(&rules(&[Rule::glob("**/*", Level::View), Rule::glob("**/*", Level::Read)]), &[("a", Level::Read)]);
}

#[test]
fn w21_an_allowed_file_in_a_hidden_directory() {
    let list = rules(&[
        Rule::glob("/a", Level::None),
        Rule::glob("/a/b/c.txt", Level::Read).kind(Kind::File),
        Rule::glob("**/b/c.txt", Level::None),
    ]);
    levels(&list, &[("a", Level::None), ("a/other", Level::None), ("a/b/c.txt", Level::Read), ("x/b/c.txt", Level::None)]);
}

#[test]
fn an_explanation_names_the_rule_and_the_next() {
    let safe = rules(&Preset::AgentSafe.rules());
    let text = |p: &str| safe.explain(&path(p)).to_string();
    assert_eq!(
        text("output/.env"),
        "/output/.env: none, by glob \"**/.env*\" none (priority 100); it comes before glob \"/output/**\" write (priority 10)"
    );
    assert_eq!(
        text(".env.d/x"),
        "/.env.d/x: none, by glob \"**/.env*\" none (priority 100), which hides the directory /.env.d; it comes before glob \"**/*\" read (priority 0)"
    );
    assert_eq!(Rules::default().explain(&path("x")).to_string(), "/x: none, because no rule matches it");
}

#[test]
fn a_bad_rule_is_named() {
    let error = Rules::new(&[Rule::glob("**/*", Level::Read), Rule::glob("{a", Level::None)]).unwrap_err();
    assert_eq!(error.to_string(), "rule \"{a\": a `{` has no `}`");
    assert!(Rules::new(&[Rule::glob("/a/../b", Level::None).kind(Kind::Directory)]).is_err());
    assert!("READ".parse::<Level>().unwrap_err().to_string().contains("`none` `view` `read` `write`"));
}

/// A slow matcher, written apart from the fast one: backtracking over whole texts.
fn oracle_matches(pattern: &[&str], names: &[&str]) -> bool {
    fn name(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some(b'*'), _) => (0..=text.len()).any(|n| name(&pattern[1..], &text[n..])),
            (Some(b'?'), Some(_)) => name(&pattern[1..], &text[1..]),
            (Some(p), Some(t)) if p == t => name(&pattern[1..], &text[1..]),
            _ => false,
        }
    }
    match (pattern.first(), names.first()) {
        (None, None) => true,
        (Some(&"**"), _) => (0..=names.len()).any(|n| oracle_matches(&pattern[1..], &names[n..])),
        (Some(p), Some(n)) if name(p.as_bytes(), n.as_bytes()) => oracle_matches(&pattern[1..], &names[1..]),
        _ => false,
    }
}

fn split(text: &str) -> Vec<&str> {
    text.split('/').filter(|n| !n.is_empty()).collect()
}

/// Whether a rule speaks about a path, by the words of the module's header.
fn oracle_speaks(rule: &Rule, text: &str) -> bool {
    let names = split(text);
    let about = |names: &[&str]| match rule.kind {
        Kind::File => split(&rule.pattern) == names,
        Kind::Directory => names.starts_with(&split(&rule.pattern)),
        Kind::Glob => oracle_matches(&split(&rule.pattern), names),
    };
    about(&names) || (rule.level == Level::None && (0..names.len()).any(|n| about(&names[..n])))
}

/// Whether `a` comes before `b`, by the words of the module's header.
fn oracle_before(a: &Rule, b: &Rule) -> bool {
    let literal = |r: &Rule| match r.kind {
        Kind::Glob => r.pattern.chars().filter(|c| !"*?/".contains(*c)).count(),
        _ => split(&r.pattern).join("/").len(),
    };
    let sum = |p: &str| {
        let mut sum = 0;
        if p.starts_with('/') {
            sum += 100;
        }
        if !p.starts_with("**") {
            sum += 50;
        }
        sum += p.find("**").unwrap_or(0);
        if !p.contains('*') {
            sum += 200;
        }
        sum
    };
    if a.priority != b.priority {
        return a.priority > b.priority;
    }
    if a.kind != b.kind {
        return a.kind > b.kind;
    }
    if sum(&a.pattern) != sum(&b.pattern) {
        return sum(&a.pattern) > sum(&b.pattern);
    }
    if literal(a) != literal(b) {
        return literal(a) > literal(b);
    }
    a.level < b.level
}

fn rule_lists() -> impl Strategy<Value = Vec<Rule>> {
    let segment = prop_oneof![Just("**"), Just("*"), Just("a"), Just("b"), Just("?"), Just("a*"), Just("*b")];
    let glob = (any::<bool>(), proptest::collection::vec(segment, 1..4))
        .prop_map(|(slash, parts)| format!("{}{}", if slash { "/" } else { "" }, parts.join("/")));
    let plain =
        proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("ab")], 1..4).prop_map(|parts| format!("/{}", parts.join("/")));
    let level = prop_oneof![Just(Level::None), Just(Level::View), Just(Level::Read), Just(Level::Write)];
    let rule = prop_oneof![
        (glob, level.clone(), -1..2i32).prop_map(|(p, level, priority)| Rule::glob(&p, level).priority(priority)),
        (plain.clone(), level.clone(), -1..2i32)
            .prop_map(|(p, level, priority)| Rule::glob(&p, level).kind(Kind::Directory).priority(priority)),
        (plain, level, -1..2i32).prop_map(|(p, level, priority)| Rule::glob(&p, level).kind(Kind::File).priority(priority)),
    ];
    proptest::collection::vec(rule, 0..7)
}

fn tree_paths() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("ab"), Just("c")], 0..4).prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn explain_agrees_with_brute_force(list in rule_lists(), text in tree_paths()) {
        let ready = rules(&list);
        let explained = ready.explain(&path(&text));
        prop_assert_eq!(explained.level, ready.level(&path(&text)));
        // The last of the same pattern, kind and priority counts.
        let same = |a: &Rule, b: &Rule| a.pattern == b.pattern && a.kind == b.kind && a.priority == b.priority;
        let kept: Vec<&Rule> = list.iter().enumerate().filter(|(i, r)| !list[i + 1..].iter().any(|later| same(r, later))).map(|(_, r)| r).collect();
        let speaking: Vec<&Rule> = kept.into_iter().filter(|r| oracle_speaks(r, &text)).collect();
        let best = speaking.iter().find(|r| !speaking.iter().any(|other| oracle_before(other, r)));
        prop_assert_eq!(explained.level, best.map_or(Level::None, |r| r.level), "{}", explained);
        prop_assert_eq!(explained.others.len() + usize::from(explained.rule.is_some()), speaking.len());
        prop_assert!(explained.rule.is_none_or(|r| speaking.contains(&&r)));
    }

    #[test]
    fn any_order_gives_the_same_answers(list in rule_lists(), text in tree_paths(), seed in any::<u64>()) {
        let mut list = list;
        list.sort_by_key(|r| (r.pattern.clone(), r.kind, r.priority));
        list.dedup_by_key(|r| (r.pattern.clone(), r.kind, r.priority));
        let there = rules(&list).level(&path(&text));
        let by = usize::try_from(seed % 7).unwrap();
        if !list.is_empty() {
            let middle = by % list.len();
            list.rotate_left(middle);
        }
        prop_assert_eq!(rules(&list).level(&path(&text)), there);
    }

    #[test]
    fn patterns_match_as_the_slow_matcher_says(pattern in "[ab*?/]{1,8}", text in tree_paths()) {
        let Ok(glob) = Glob::new(&pattern) else { return Ok(()) };
        // A name of three stars is a star, and only two alone are directories.
        prop_assume!(!pattern.split('/').any(|n| n.contains("**") && n != "**"));
        prop_assert_eq!(glob.matches(&path(&text)), oracle_matches(&split(&pattern), &split(&text)));
    }

    #[test]
    fn any_text_is_a_pattern_or_refused(pattern in "\\PC{0,30}", text in tree_paths()) {
        if let Ok(glob) = Glob::new(&pattern) {
            glob.matches(&path(&text));
        }
    }
}
