//! Which host ids stand behind the command's.

use enclos_spec::plan::{IdRange, Identity, Mapper};
use enclos_spec::{Ids, Policy};

use super::DEFAULT_ID;
use crate::error::{Error, Result};
use crate::probe::Facts;
use crate::probe::ids::{self, Lease, RANGE};

/// Inside a subordinate range: the id that is the caller, under which the sandbox is set up. No command may be it.
pub const SETUP_ID: u32 = RANGE - 3;

/// A choice.
pub struct Chosen {
    /// For the plan.
    pub identity: Identity,
    /// In words, for the report.
    pub words: String,
    /// The range's lease.
    pub lease: Option<Lease>,
}

/// Chooses.
///
/// `workspace`: the command writes in one.
pub fn choose(policy: &Policy, facts: &Facts, workspace: bool, weakened: &mut Vec<String>) -> Result<Chosen> {
    let (uid, gid) = (policy.uid.unwrap_or(DEFAULT_ID), policy.gid.unwrap_or(DEFAULT_ID));
    let refuse = |missing: &str| Error::Unenforceable { field: "ids", missing: missing.to_owned() };
    if facts.privileged {
        if policy.ids == Ids::Own {
            return Err(refuse("the caller's own id is root's; run as an ordinary user, or leave ids at auto"));
        }
        if ids::room(&facts.own_ids).is_some() {
            return leased(uid, gid, facts);
        }
        if policy.ids == Ids::Range {
            return Err(refuse("this user namespace has no ids to give away (see /proc/self/uid_map)"));
        }
        weakened.push("ids: this user namespace has no ids to give away; the command runs under the caller's own".to_owned());
        return Ok(own(uid, gid, facts));
    }
    if policy.ids == Ids::Own {
        return Ok(own(uid, gid, facts));
    }
    let writes_host = workspace || !policy.rw.is_empty() || !policy.bind.is_empty() || policy.overlay.iter().any(|o| o.layer.is_some());
    if workspace && policy.ids == Ids::Range {
        return Err(refuse("a workspace of an ordinary user is written under that user's own id; leave ids at auto"));
    }
    match (policy.ids, subordinate(uid, gid, facts)) {
        (Ids::Range, None) => Err(refuse("no range in /etc/subuid and /etc/subgid, or no newuidmap (package uidmap)")),
        (Ids::Range, Some(chosen)) => Ok(chosen),
        (_, Some(chosen)) if !writes_host => Ok(chosen),
        _ => Ok(own(uid, gid, facts)),
    }
}

fn leased(uid: u32, gid: u32, facts: &Facts) -> Result<Chosen> {
    let lease = ids::lease(&facts.own_ids)?;
    let map = vec![IdRange { inside: 0, outside: lease.base, count: RANGE }];
    let identity = Identity {
        uid: Some(uid),
        gid: Some(gid),
        uid_map: map.clone(),
        gid_map: map,
        mapper: Mapper::Launcher,
        setup: Some((0, 0)),
        nested: None,
        clear_groups: true,
    };
    let words = format!("a range of its own, {}-{}: nobody on the host", lease.base, lease.base + (RANGE - 1));
    Ok(Chosen { identity, words, lease: Some(lease) })
}

fn own(uid: u32, gid: u32, facts: &Facts) -> Chosen {
    let one = |inside, outside| vec![IdRange { inside, outside, count: 1 }];
    let identity = Identity {
        uid: Some(uid),
        gid: Some(gid),
        uid_map: one(uid, facts.uid),
        gid_map: one(gid, facts.gid),
        mapper: Mapper::Launcher,
        setup: None,
        nested: None,
        clear_groups: false,
    };
    Chosen { identity, words: format!("the caller's own id, {}", facts.uid), lease: None }
}

/// A range from `/etc/subuid`, with the caller itself mapped beside it to set up.
fn subordinate(uid: u32, gid: u32, facts: &Facts) -> Option<Chosen> {
    let subuid = std::fs::read_to_string("/etc/subuid").ok()?;
    let subgid = std::fs::read_to_string("/etc/subgid").ok()?;
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = ids::user_name(&passwd, facts.uid);
    let (first_uid, first_gid) = (ids::subordinate(&subuid, name, facts.uid)?, ids::subordinate(&subgid, name, facts.uid)?);
    let found = |program: &str| crate::launch::idmap::SHADOW.iter().any(|d| std::path::Path::new(d).join(program).is_file());
    if !found("newuidmap") || !found("newgidmap") {
        return None;
    }
    let map = |first: u32, caller: u32| {
        vec![IdRange { inside: 0, outside: first, count: SETUP_ID }, IdRange { inside: SETUP_ID, outside: caller, count: 1 }]
    };
    let identity = Identity {
        uid: Some(uid),
        gid: Some(gid),
        uid_map: map(first_uid, facts.uid),
        gid_map: map(first_gid, facts.gid),
        mapper: Mapper::Shadow,
        setup: Some((SETUP_ID, SETUP_ID)),
        nested: None,
        clear_groups: true,
    };
    Some(Chosen { identity, words: format!("the caller's range in /etc/subuid, from {first_uid}"), lease: None })
}
