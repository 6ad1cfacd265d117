//! Things by their id, and in the order in which they were made. Locks are held for a look, never while anything is done.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use crate::api::{AgentError, Page, PageRequest, Result};

const SHARDS: usize = 32;

/// Entries that are looked for together before the next look.
const LOOK: usize = 256;

/// A table.
#[derive(Debug)]
pub struct Table<T> {
    by_id: Vec<RwLock<HashMap<String, Arc<T>>>>,
    by_number: RwLock<BTreeMap<u64, Arc<T>>>,
    hasher: RandomState,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { by_id: (0..SHARDS).map(|_| RwLock::default()).collect(), by_number: RwLock::default(), hasher: RandomState::new() }
    }
}

impl<T> Table<T> {
    fn shard(&self, id: &str) -> &RwLock<HashMap<String, Arc<T>>> {
        &self.by_id[self.hasher.hash_one(id) as usize % SHARDS]
    }

    /// What has this id.
    pub fn get(&self, id: &str) -> Option<Arc<T>> {
        self.shard(id).read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Adds something.
    pub fn insert(&self, number: u64, id: &str, item: Arc<T>) {
        self.by_number.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&item));
        self.shard(id).write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), item);
    }

    /// Takes something out; `None`: somebody else did.
    pub fn remove(&self, number: u64, id: &str) -> Option<Arc<T>> {
        let found = self.shard(id).write().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.by_number.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        found
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_number.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Everything, in order.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.by_number.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn after(&self, number: Option<u64>) -> Vec<(u64, Arc<T>)> {
        use std::ops::Bound;
        let table = self.by_number.read().unwrap_or_else(PoisonError::into_inner);
        let from = number.map_or(Bound::Unbounded, Bound::Excluded);
        table.range((from, Bound::Unbounded)).take(LOOK).map(|(number, item)| (*number, Arc::clone(item))).collect()
    }

    /// One page of those that `choose` shows.
    ///
    /// # Errors
    /// A token that no listing gave.
    pub fn page<S>(&self, page: &PageRequest, choose: impl Fn(&T) -> Option<S>) -> Result<Page<S>> {
        let size = page_size(page);
        let mut after = page_after(page)?;
        let mut items = Vec::new();
        let mut last = None;
        loop {
            let found = self.after(after);
            let Some((number, _)) = found.last() else { return Ok(Page { items, next: None }) };
            after = Some(*number);
            for (number, item) in &found {
                let Some(shown) = choose(item) else { continue };
                if items.len() == size {
                    return Ok(Page { items, next: last });
                }
                items.push(shown);
                last = Some(number.to_string());
            }
        }
    }
}

/// Entries at most of one page.
#[must_use]
pub fn page_size(page: &PageRequest) -> usize {
    if page.size == 0 { 100 } else { page.size.min(1000) }
}

fn page_after(page: &PageRequest) -> Result<Option<u64>> {
    if page.token.is_empty() {
        return Ok(None);
    }
    let token = page.token.parse().map_err(|_| {
        AgentError::invalid(
            "page_token",
            format!("{:?}: it must be one that a listing gave", page.token.chars().take(80).collect::<String>()),
        )
    })?;
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_complete_and_in_order() {
        let table = Table::default();
        for number in 1..=1000u64 {
            table.insert(number, &format!("id{number}"), Arc::new(number));
        }
        for number in (2..=1000).step_by(7) {
            table.remove(number, &format!("id{number}"));
        }
        let odd = |number: &u64| (number % 2 == 1).then_some(*number);
        let mut page = PageRequest { size: 33, token: String::new() };
        let mut seen = Vec::new();
        loop {
            let found = table.page(&page, odd).unwrap();
            assert!(found.items.len() == 33 || found.next.is_none());
            seen.extend(found.items);
            match found.next {
                Some(token) => page.token = token,
                None => break,
            }
        }
        let wanted: Vec<u64> = (1..=1000).filter(|n| n % 2 == 1 && (*n < 2 || (n - 2) % 7 != 0)).collect();
        assert_eq!(seen, wanted);
        assert!(table.get("id2").is_none() && table.get("id3").is_some());
        page.token = "x".to_owned();
        assert!(table.page(&page, odd).is_err());
        // Exactly one full page: no next.
        let all = table.page(&PageRequest { size: 1000, token: String::new() }, |n| (*n <= 1).then_some(*n)).unwrap();
        assert_eq!((all.items.len(), all.next), (1, None));
    }
}
