//! Secrets of which one is used at a time: which to try, and in which order.

use crate::base::Timestamp;
use crate::secrets::Handle;
use crate::spec::{SecretCandidate, SecretSource};

/// A list from the configuration with its sources opened.
pub(super) struct Candidates(Vec<Candidate>);

struct Candidate {
    handle: Handle,
    not_before: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl Candidates {
    pub(super) fn new(list: &[SecretCandidate], open: impl Fn(&SecretSource) -> Handle) -> Self {
        let candidate = |one: &SecretCandidate| Candidate {
            handle: open(&one.source),
            not_before: one.not_before,
            expires_at: one.expires_at,
        };
        Self(list.iter().map(candidate).collect())
    }

    pub(super) fn get(&self, index: usize) -> Option<&Handle> {
        self.0.get(index).map(|candidate| &candidate.handle)
    }

    /// Those to try, the one that worked last first. Those outside their time are left out, unless
    /// all are: then the dates are more likely wrong than the secrets.
    pub(super) fn order(&self, worked: usize, now: Timestamp) -> Vec<usize> {
        let usable = |candidate: &Candidate| {
            candidate.not_before.is_none_or(|from| now >= from)
                && candidate.expires_at.is_none_or(|until| now < until)
        };
        let mut order: Vec<usize> = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, candidate)| usable(candidate))
            .map(|(index, _)| index)
            .collect();
        if order.is_empty() {
            order = (0..self.0.len()).collect();
        }
        order.sort_by_key(|index| *index != worked);
        order
    }
}

/// A client secret and a key, of grants that use them.
pub(super) type Pair = (Option<usize>, Option<usize>);

/// Which client secret to try with which key: first each other one of either list with the best of
/// the other, then further pairs; never more tries than there are secrets and keys, since vendors
/// lock clients that fail too often.
pub(super) fn pairs(secrets: &[usize], keys: &[usize]) -> Vec<Pair> {
    let all = |list: &[usize]| -> Vec<Option<usize>> {
        if list.is_empty() {
            vec![None]
        } else {
            list.iter().copied().map(Some).collect()
        }
    };
    let (secrets, keys) = (all(secrets), all(keys));
    let mut pairs: Vec<((usize, usize), Pair)> = Vec::new();
    for (at_key, key) in keys.iter().enumerate() {
        for (at_secret, secret) in secrets.iter().enumerate() {
            pairs.push(((at_key, at_secret), (*secret, *key)));
        }
    }
    pairs.sort_by_key(|((key, secret), _)| (*key > 0 && *secret > 0, *key));
    pairs.truncate(secrets.len() + keys.len());
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_one_is_tried_and_none_too_often() {
        assert_eq!(pairs(&[], &[]), [(None, None)]);
        assert_eq!(pairs(&[1, 0], &[]), [(Some(1), None), (Some(0), None)]);
        assert_eq!(pairs(&[], &[0, 1]), [(None, Some(0)), (None, Some(1))]);
        let both = |secret, key| (Some(secret), Some(key));
        assert_eq!(
            pairs(&[1, 0], &[0, 1]),
            [both(1, 0), both(0, 0), both(1, 1), both(0, 1)]
        );
        let many = pairs(&[0, 1, 2], &[0, 1, 2]);
        assert_eq!(many.len(), 6);
        for one in 0..3 {
            assert!(many.iter().any(|(secret, _)| *secret == Some(one)));
            assert!(many.iter().any(|(_, key)| *key == Some(one)));
        }
    }
}
