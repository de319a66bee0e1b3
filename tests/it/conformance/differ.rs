//! Two things that ought to be the same.

use std::fmt::Debug;

pub(super) fn differ(what: &str, wanted: impl Debug, found: impl Debug) -> String {
    format!("{what}: wanted {wanted:?}, found {found:?}")
}

pub(super) fn same<T: PartialEq + Debug>(what: &str, wanted: T, found: T) -> Result<(), String> {
    if wanted == found {
        Ok(())
    } else {
        Err(differ(what, wanted, found))
    }
}

pub(super) fn contains(
    what: &str,
    wanted: Option<&str>,
    found: Option<&str>,
) -> Result<(), String> {
    match (wanted, found) {
        (None, None) => Ok(()),
        (Some(wanted), Some(found)) if found.contains(wanted) => Ok(()),
        _ => Err(differ(what, wanted, found)),
    }
}
