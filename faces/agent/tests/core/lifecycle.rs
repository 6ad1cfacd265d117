//! Made, started, stopped, destroyed.

use enclos_agent::api::{Agent, AgentError, Endings, NewSandbox, PageRequest, SandboxFilter, SandboxStatus};

use crate::world::{World, all, caller};

#[test]
fn a_whole_life() {
    let world = World::new();
    let codebase = world.codebase(&[("hello.txt", "hello\n"), ("src/main.sh", "echo main\n")]);
    let new = NewSandbox { codebase_id: Some(codebase.clone()), rules: all(), ..NewSandbox::default() };
    let made = world.agent.create_sandbox(&world.caller, &new).unwrap();
    assert_eq!(
        (made.status, made.codebase_id.as_str(), made.version, made.owner.as_str()),
        (SandboxStatus::Pending, &*codebase, 2, "alice")
    );
    assert!(made.expires_at.is_some() && made.started_at.is_none() && made.resources.memory_bytes.is_some());
    let id = made.id;
    assert_eq!(world.agent.stop(&world.caller, &id).unwrap_err(), AgentError::NotRunning);
    let started = world.agent.start(&world.caller, &id).unwrap();
    assert!(started.status == SandboxStatus::Running && started.started_at.is_some());
    assert_eq!(world.agent.start(&world.caller, &id).unwrap_err(), AgentError::AlreadyRunning);
    assert_eq!(
        world.says(&id, "pwd; cat hello.txt; sh src/main.sh; echo $HOME; id -u; ls -A"),
        "/workspace\nhello\nmain\n/home/enclos\n1000\nhello.txt\nsrc\n"
    );
    world.says(&id, "echo new > new.txt; rm hello.txt");
    let stopped = world.agent.stop(&world.caller, &id).unwrap();
    assert!(stopped.status == SandboxStatus::Stopped && stopped.stopped_at.is_some());
    let refused = world.agent.exec(&world.caller, &id, &exec("true"), &Default::default(), &enclos_agent::api::NoWatcher);
    assert_eq!(refused.unwrap_err(), AgentError::NotRunning);
    world.agent.start(&world.caller, &id).unwrap();
    assert_eq!(world.says(&id, "ls; cat new.txt"), "new.txt\nsrc\nnew\n");
    world.agent.destroy(&world.caller, &id).unwrap();
    assert_eq!(world.agent.sandbox(&world.caller, &id).unwrap_err(), AgentError::not_found("sandbox", id.clone()));
    assert_eq!(world.agent.destroy(&world.caller, &id).unwrap_err(), AgentError::not_found("sandbox", id));
    // The codebase is as it was: nothing was committed.
    assert_eq!(world.download(&codebase, "hello.txt").as_deref(), Some("hello\n"));
}

fn exec(command: &str) -> enclos_agent::api::Exec {
    enclos_agent::api::Exec { command: command.to_owned(), ..Default::default() }
}

#[test]
fn what_belongs_to_others_does_not_exist() {
    let world = World::new();
    let codebase = world.codebase(&[("a", "a")]);
    let id = world.started(&codebase, &all());
    let bob = caller("bob");
    let unknown = || AgentError::not_found("sandbox", id.clone());
    assert_eq!(world.agent.sandbox(&bob, &id).unwrap_err(), unknown());
    assert_eq!(world.agent.stop(&bob, &id).unwrap_err(), unknown());
    assert_eq!(world.agent.destroy(&bob, &id).unwrap_err(), unknown());
    assert_eq!(world.agent.diff(&bob, &id).unwrap_err(), unknown());
    assert_eq!(world.agent.codebase(&bob, &codebase).unwrap_err(), AgentError::not_found("codebase", codebase.clone()));
    assert_eq!(world.agent.codebases(&bob, None, &PageRequest::default()).unwrap().items, []);
    assert_eq!(world.agent.sandboxes(&bob, &SandboxFilter::default(), &PageRequest::default()).unwrap().items, []);
    let new = NewSandbox { codebase_id: Some(codebase.clone()), ..NewSandbox::default() };
    assert_eq!(world.agent.create_sandbox(&bob, &new).unwrap_err(), AgentError::not_found("codebase", codebase.clone()));
    let operator = enclos_agent::api::Caller { operator: true, ..bob };
    assert_eq!(world.agent.sandbox(&operator, &id).unwrap().id, id);
    assert_eq!(world.agent.codebases(&operator, None, &PageRequest::default()).unwrap().items.len(), 1);
    for id in ["../x", "sb_../../etc/passwd", "", "cb_0123456789abcdef"] {
        assert_eq!(world.agent.sandbox(&operator, id).unwrap_err(), AgentError::not_found("sandbox", id));
        assert!(matches!(world.agent.codebase(&operator, id), Err(AgentError::NotFound { .. })), "{id}");
    }
}

#[test]
fn lists_have_pages_and_filters() {
    let world = World::new();
    let codebase = world.codebase(&[]);
    let mut made = Vec::new();
    for number in 0..7 {
        let labels = [("parity".to_owned(), (number % 2).to_string())].into();
        let codebase_id = (number < 5).then(|| codebase.clone());
        let new = NewSandbox { codebase_id, labels, ..NewSandbox::default() };
        made.push(world.agent.create_sandbox(&world.caller, &new).unwrap().id);
    }
    world.agent.start(&world.caller, &made[3]).unwrap();
    let list = |filter: &SandboxFilter, size| {
        let mut page = PageRequest { size, token: String::new() };
        let mut ids = Vec::new();
        loop {
            let found = world.agent.sandboxes(&world.caller, filter, &page).unwrap();
            ids.extend(found.items.into_iter().map(|sandbox| sandbox.id));
            match found.next {
                Some(token) => page.token = token,
                None => return ids,
            }
        }
    };
    assert_eq!(list(&SandboxFilter::default(), 2), made);
    let of_codebase = SandboxFilter { codebase_id: Some(codebase), ..SandboxFilter::default() };
    assert_eq!(list(&of_codebase, 3), made[..5]);
    let odd = SandboxFilter { labels: [("parity".to_owned(), "1".to_owned())].into(), ..SandboxFilter::default() };
    assert_eq!(list(&odd, 1), [made[1].clone(), made[3].clone(), made[5].clone()]);
    let running = SandboxFilter { status: Some(SandboxStatus::Running), ..SandboxFilter::default() };
    assert_eq!(list(&running, 100), [made[3].clone()]);
}

#[test]
fn quotas_hold_and_come_back() {
    let world = World::with("[agent]\nsandboxes = 1\n[agent.quota]\nsandboxes = 2\ncodebases = 1\nsessions = 1");
    world.codebase(&[]);
    let again = enclos_agent::api::NewCodebase { name: "x".to_owned(), owner_id: "y".to_owned() };
    assert!(matches!(world.agent.create_codebase(&world.caller, &again), Err(AgentError::Quota { limit: 1, .. })));
    let first = world.agent.create_sandbox(&world.caller, &NewSandbox::default()).unwrap().id;
    let second = world.agent.create_sandbox(&world.caller, &NewSandbox::default()).unwrap().id;
    let third = world.agent.create_sandbox(&world.caller, &NewSandbox::default());
    assert_eq!(third.unwrap_err().to_string(), "sandboxes of one caller: 2 is the most");
    world.agent.start(&world.caller, &first).unwrap();
    assert!(matches!(world.agent.start(&world.caller, &second), Err(AgentError::Quota { limit: 1, .. })));
    world.session(&first, "");
    let more = world.agent.create_session(&world.caller, &first, &Default::default());
    assert!(matches!(more, Err(AgentError::Quota { limit: 1, .. })), "{more:?}");
    world.agent.destroy(&world.caller, &first).unwrap();
    world.agent.start(&world.caller, &second).unwrap();
    world.session(&second, "");
    assert!(world.agent.create_sandbox(&world.caller, &NewSandbox::default()).is_ok());
    assert!(world.agent.create_sandbox(&caller("bob"), &NewSandbox::default()).is_ok());
}

#[test]
fn w45_a_sandbox_ends_when_its_time_has_come() {
    let world = World::with("[agent]\nmost-expiry = \"1h\"\nexpiry = \"10m\"");
    let short = world.start(&NewSandbox { expires_in_ms: Some(2500), ..NewSandbox::default() });
    let long = world.start(&NewSandbox { expires_in_ms: Some(2000), ..NewSandbox::default() });
    world.agent.set_expiry(&world.caller, &long, Some(60_000)).unwrap();
    let gone = std::time::Instant::now();
    while world.agent.sandbox(&world.caller, &short).is_ok() {
        assert!(gone.elapsed() < std::time::Duration::from_secs(20));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(world.agent.sandbox(&world.caller, &long).is_ok());
    for (asked, told) in
        [(Some(0), "it must be more"), (Some(3_600_001), "3600000 ms is the most"), (None, "never: 3600000 ms is the most")]
    {
        let error = world.agent.set_expiry(&world.caller, &long, asked).unwrap_err().to_string();
        assert!(error.starts_with("expires_in: ") && error.contains(told), "{error}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_its_field() {
    use enclos_agent::api::{Level, Network, Resources, Rule, Runtime};
    let world = World::new();
    let told = |new: NewSandbox| world.agent.create_sandbox(&world.caller, &new).unwrap_err().to_string();
    let resources = |resources| NewSandbox { resources, ..NewSandbox::default() };
    let cases = [
        (
            NewSandbox { rules: vec![Rule::glob("a", Level::Read), Rule::glob("[", Level::Read)], ..NewSandbox::default() },
            "permissions[1].pattern: ",
        ),
        (NewSandbox { version: Some(1), ..NewSandbox::default() }, "version: "),
        (NewSandbox { runtime: Runtime::Docker, ..NewSandbox::default() }, "image: the runtime docker needs an image"),
        (
            NewSandbox { runtime: Runtime::Bwrap, image: Some("x".to_owned()), ..NewSandbox::default() },
            "image: \"x\": an image needs the runtime docker",
        ),
        (NewSandbox { runtime: Runtime::Docker, image: Some("x".to_owned()), ..NewSandbox::default() }, "image \"x\" is not known"),
        (NewSandbox { network: Network::Host, ..NewSandbox::default() }, "network: this server lets"),
        (NewSandbox { env: [("A=B".to_owned(), String::new())].into(), ..NewSandbox::default() }, "env: \"A=B\""),
        (NewSandbox { labels: [(String::new(), String::new())].into(), ..NewSandbox::default() }, "labels: "),
        (resources(Resources { memory_bytes: Some(1 << 50), ..Resources::default() }), "resources.memory_bytes: "),
        (resources(Resources { pids_limit: Some(0), ..Resources::default() }), "resources.pids_limit: 0: 2 is the least"),
    ];
    for (new, start) in cases {
        let error = told(new.clone());
        assert!(error.starts_with(start) && !error.contains('\n'), "{new:?}: {error}");
    }
}

#[test]
fn rules_change_while_it_lives_and_refuse_to_end_what_runs() {
    use enclos_agent::api::{Level, Rule};
    let world = World::new();
    let codebase = world.codebase(&[("a", "a"), ("b", "b")]);
    let id = world.started(&codebase, &all());
    let session = world.session(&id, "");
    world.says(&id, "echo changed > a");
    let rules = [Rule::glob("**/*", Level::Read), Rule::glob("b", Level::None)];
    let refused = world.agent.set_rules(&world.caller, &id, &rules, Endings::Refuse).unwrap_err();
    assert!(matches!(&refused, AgentError::Precondition(why) if why.contains("1 commands and sessions")), "{refused}");
    assert_eq!(world.says(&id, "ls; cat a"), "a\nb\nchanged\n");
    let now = world.agent.set_rules(&world.caller, &id, &rules, Endings::Allow).unwrap();
    assert!(now.rules == rules && now.status == SandboxStatus::Running, "{now:?}");
    // Its own change is its own still, though it could not make it now.
    assert_eq!(world.says(&id, "ls; cat a; touch c 2> /dev/null || echo refused"), "a\nchanged\nrefused\n");
    let closed = world.agent.session(&world.caller, &session).unwrap();
    assert_eq!(closed.status, enclos_agent::api::SessionStatus::Closed);
    assert_eq!(world.agent.explain(&world.caller, &id, "/b").unwrap().level, Level::None);
}

#[test]
fn a_sandbox_of_one_call_takes_no_sessions_and_is_gone_with_it() {
    use enclos_agent::api::{Cancel, Exec, NewSession, NoWatcher, Verdict};
    let world = World::new();
    let cancel = Cancel::new();
    let exec = Exec { argv: vec!["sleep".to_owned(), "60".to_owned()], ..Exec::default() };
    let all = || world.agent.sandboxes(&world.caller, &Default::default(), &Default::default()).unwrap().items;
    std::thread::scope(|scope| {
        let call = scope.spawn(|| world.agent.run(&world.caller, &NewSandbox::default(), &exec, &cancel, &NoWatcher).unwrap());
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let id = loop {
            match all().first() {
                Some(found) if found.status == SandboxStatus::Running => break found.id.clone(),
                _ => assert!(std::time::Instant::now() < until && !call.is_finished()),
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        // Nothing outlives it, and its workspace, which waits for no disk, can be mounted once.
        for refused in [
            world.agent.create_session(&world.caller, &id, &NewSession::default()).unwrap_err(),
            world.agent.set_rules(&world.caller, &id, &[], Endings::Allow).unwrap_err(),
            world.agent.start(&world.caller, &id).unwrap_err(),
        ] {
            assert!(matches!(&refused, AgentError::Precondition(why) if why.contains("a sandbox of its own")), "{refused}");
        }
        cancel.cancel();
        assert_eq!(call.join().unwrap().verdict, Verdict::Cancelled);
    });
    assert!(all().is_empty());
}

#[test]
fn only_the_workspace_of_one_call_waits_for_no_disk() {
    use enclos_agent::api::{Cancel, Exec, NoWatcher};
    let world = World::new();
    let exec = Exec { argv: ["/bin/grep", " /workspace ", "/proc/self/mounts"].map(str::to_owned).into(), ..Exec::default() };
    let once = world.agent.run(&world.caller, &NewSandbox::default(), &exec, &Cancel::new(), &NoWatcher).unwrap();
    let kept = world.exec(&world.started(&world.codebase(&[("a", "a")]), &all()), &exec);
    let of = |result: &enclos_agent::api::ExecResult| String::from_utf8_lossy(&result.stdout).contains("volatile");
    assert_eq!((of(&once), of(&kept)), (true, false), "{once:?} {kept:?}");
}
