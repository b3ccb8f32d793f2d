use super::*;
use crate::Checkpoint;
use crate::sample::{ORIGIN, at, checkpoint, entry, leaves, log_key, signed, signing_key};

/// A row of a log: its number, what it says, and the hash kept of it.
type Row = (u64, String, Option<Hash>);

fn rows(size: u64) -> Vec<Row> {
    (0..size).zip(leaves(size)).map(|(sequence, leaf)| (sequence, entry(sequence), Some(leaf))).collect()
}

fn report(rows: &[Row], checkpoints: &[Checkpoint]) -> Report {
    let mut given = Checkpoints::new(vec![log_key(7)], ORIGIN);
    checkpoints.iter().for_each(|checkpoint| given.add(signed(checkpoint).as_str()));
    read(rows, given)
}

fn read(rows: &[Row], checkpoints: Checkpoints) -> Report {
    let mut verifier = checkpoints.into_verifier();
    rows.iter().for_each(|(sequence, text, kept)| verifier.entry(*sequence, text.as_bytes(), *kept));
    verifier.finish()
}

fn of(sizes: &[u64]) -> Vec<Checkpoint> {
    sizes.iter().map(|size| checkpoint(*size)).collect()
}

/// Changes an entry and the hash kept of it.
fn rewrite(row: &mut Row) {
    row.1.push('!');
    row.2 = Some(leaf(row.1.as_bytes()));
}

#[test]
fn a_log_that_nobody_touched_is_sound_whatever_order_its_checkpoints_come_in() {
    for size in 0..30 {
        let mut checkpoints: Vec<_> = (0..=size).chain([size]).map(checkpoint).collect();
        checkpoints.reverse();
        let report = report(&rows(size), &checkpoints);
        assert_eq!(report.findings, []);
        assert_eq!((report.size, report.root), (size, checkpoint(size).root));
        assert_eq!((report.checkpoints, report.verified), (size + 2, size + 2));
        assert_eq!((report.covered, report.unlisted), (size, 0));
    }
}

#[test]
fn entries_after_the_last_checkpoint_are_not_covered() {
    let report = report(&rows(9), &of(&[2, 5]));
    assert_eq!((report.size, report.covered, report.verified), (9, 5, 2));
    assert_eq!(report.findings, []);
}

#[test]
fn each_entry_that_is_missing_is_named() {
    for gone in 0..12 {
        for number in 1..=(12 - gone) {
            let mut rows = rows(13);
            rows.drain(usize::try_from(gone).unwrap()..usize::try_from(gone + number).unwrap());
            let report = report(&rows, &of(&[1, 6, 12]));
            let (first, last) = (gone, gone + number - 1);
            assert_eq!(report.findings, [Finding::Missing { first, last }]);
            assert_eq!((report.size, report.root), (gone, checkpoint(gone).root));
            assert_eq!(report.verified, u64::from(gone >= 1) + u64::from(gone >= 6) + u64::from(gone >= 12));
        }
    }
}

#[test]
fn each_entry_that_is_repeated_or_out_of_order_is_named() {
    for place in 0..10_u64 {
        let at = usize::try_from(place).unwrap();
        let mut twice = rows(10);
        twice.insert(at, twice[at].clone());
        let found = report(&twice, &of(&[3, 10]));
        assert_eq!(found.findings, [Finding::Repeated { sequence: place }]);
        assert_eq!((found.verified, found.covered), (2, 10));
        for later in place + 2..10 {
            let mut disordered = rows(10);
            disordered.insert(usize::try_from(later).unwrap(), disordered[at].clone());
            let found = report(&disordered, &of(&[3, 10]));
            let finding = Finding::Disordered { sequence: place, after: later - 1 };
            assert_eq!(found.findings, [finding]);
        }
    }
    let mut exchanged = rows(5);
    exchanged.swap(1, 2);
    let report = report(&exchanged, &[]);
    let missing = Finding::Missing { first: 1, last: 1 };
    assert_eq!(report.findings, [missing, Finding::Disordered { sequence: 1, after: 2 }]);
    assert_eq!(report.size, 1);
}

/// The kept hashes still lead to what was signed, so nothing else is wrong.
#[test]
fn each_entry_that_was_changed_is_named_and_no_other() {
    for sequence in 0..10_u64 {
        let mut changed = rows(10);
        changed[usize::try_from(sequence).unwrap()].1.push('!');
        let found = report(&changed, &of(&[3, 6, 10]));
        assert_eq!(found.findings, [Finding::Changed { sequence }]);
        assert_eq!(found.verified, u64::from(sequence >= 3) + u64::from(sequence >= 6));

        let mut hash_changed = rows(10);
        hash_changed[usize::try_from(sequence).unwrap()].2 = Some([0; 32]);
        let found = report(&hash_changed, &of(&[3, 6, 10]));
        assert_eq!(found.findings, [Finding::Changed { sequence }]);
        assert_eq!(found.verified, 3, "the entries are those that were signed");
    }
}

#[test]
fn a_history_that_was_rewritten_with_its_hashes_is_found_at_the_next_checkpoint() {
    for sequence in 0..10_u64 {
        for without_hashes in [false, true] {
            let mut rewritten = rows(10);
            rewrite(&mut rewritten[usize::try_from(sequence).unwrap()]);
            if without_hashes {
                rewritten.iter_mut().for_each(|row| row.2 = None);
            }
            let found = report(&rewritten, &of(&[3, 6, 10]));
            let agreed = [0, 3, 6].into_iter().rfind(|size| *size <= sequence).unwrap();
            let expected: Vec<_> = [3, 6, 10]
                .into_iter()
                .filter(|size| *size > sequence)
                .map(|size| Finding::Rewritten { size, agreed })
                .collect();
            assert_eq!(found.findings, expected);
            assert_eq!(found.covered, agreed);
        }
    }
}

#[test]
fn one_entry_changed_and_another_rewritten_are_told_apart() {
    let mut both = rows(10);
    both[1].1.push('!');
    rewrite(&mut both[7]);
    let changed = Finding::Changed { sequence: 1 };
    let rewritten = Finding::Rewritten { size: 10, agreed: 6 };
    assert_eq!(report(&both, &of(&[3, 6, 10])).findings, [changed, rewritten]);
}

#[test]
fn a_log_that_is_shorter_than_was_signed_is_found() {
    for size in 0..10 {
        let found = report(&rows(size), &of(&[3, 6, 10]));
        assert_eq!(found.findings, [Finding::Truncated { size: 10, entries: size }]);
    }
    let mut gap = rows(9);
    gap.remove(4);
    let missing = Finding::Missing { first: 4, last: 4 };
    let truncated = Finding::Truncated { size: 10, entries: 9 };
    assert_eq!(report(&gap, &of(&[3, 10])).findings, [missing, truncated]);
}

#[test]
fn a_checkpoint_that_goes_back_in_time_or_size_is_found() {
    let early = Checkpoint { at: at(2), ..checkpoint(6) };
    let found = report(&rows(6), &[early, checkpoint(3), checkpoint(5)]);
    assert_eq!(
        found.findings,
        [
            Finding::WentBack { at: at(3), size: 3, before: 6 },
            Finding::WentBack { at: at(5), size: 5, before: 6 },
        ]
    );
    assert_eq!(found.verified, 3);
    let same_time = [Checkpoint { at: at(3), ..checkpoint(6) }, checkpoint(3)];
    assert_eq!(report(&rows(6), &same_time).findings, []);
}

/// Also where the log is too short to say which of them is right.
#[test]
fn two_signed_histories_are_found() {
    let mut other = rows(4);
    rewrite(&mut other[2]);
    let forked = Checkpoint { root: report(&other, &[]).root, ..checkpoint(4) };
    let found = report(&rows(4), &[checkpoint(4), forked.clone()]);
    assert_eq!(found.findings, [Finding::Forked { size: 4 }, Finding::Rewritten { size: 4, agreed: 0 }]);
    assert_eq!((found.verified, found.covered), (1, 4));
    let found = report(&rows(1), &[checkpoint(4), forked]);
    assert_eq!(found.findings, [Finding::Forked { size: 4 }, Finding::Truncated { size: 4, entries: 1 }]);
}

#[test]
fn a_checkpoint_of_nobody_known_is_named_by_its_place_and_not_used() {
    let forged = Checkpoint { root: [0; 32], ..checkpoint(2) };
    let mut given = Checkpoints::new(vec![log_key(7)], ORIGIN);
    given.add(signed(&checkpoint(3)).as_str());
    given.add(&forged.sign(&signing_key(8), ORIGIN).unwrap());
    given.add("no checkpoint");
    given.add(signed(&Checkpoint { origin: "other.example".into(), ..forged }).as_str());
    let report = read(&rows(3), given);
    let sentences: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        sentences,
        [
            "checkpoint 2 of those given does not count: the checkpoint is not signed by a known key",
            "checkpoint 3 of those given does not count: the text is no checkpoint: nothing parts it from its \
             signatures",
            "checkpoint 4 of those given does not count: the checkpoint is of the log other.example, not of \
             consentry.example/audit/eu",
        ]
    );
    assert_eq!((report.checkpoints, report.verified), (4, 1));
}

#[test]
fn a_log_that_is_wrong_throughout_does_not_fill_the_memory_nor_hide_that_it_is_short() {
    let mut rows = rows(3_000);
    rows.iter_mut().for_each(|row| row.2 = Some([0; 32]));
    let largest = Checkpoint { size: 3_001, ..checkpoint(1) };
    let report = report(&rows, &[largest]);
    assert_eq!((report.findings.len(), report.unlisted), (1_001, 2_000));
    let truncated = Finding::Truncated { size: 3_001, entries: 3_000 };
    assert_eq!(report.findings.last(), Some(&truncated));
}

#[test]
fn the_largest_number_of_an_entry_is_only_one_that_others_are_missing_before() {
    let report = report(&[(u64::MAX, String::new(), None), (u64::MAX, String::new(), None)], &[]);
    let missing = Finding::Missing { first: 0, last: u64::MAX - 1 };
    assert_eq!(report.findings.first(), Some(&missing));
    assert_eq!(report.size, 0);
}

#[test]
fn a_finding_is_a_sentence_about_numbers() {
    for (finding, sentence) in [
        (Finding::Missing { first: 4, last: 4 }, "entry 4 is missing"),
        (Finding::Missing { first: 4, last: 6 }, "entries 4 to 6 are missing"),
        (Finding::Repeated { sequence: 4 }, "entry 4 is repeated"),
        (Finding::Disordered { sequence: 4, after: 6 }, "entry 4 comes after entry 6"),
        (Finding::Changed { sequence: 4 }, "entry 4 does not have the hash that is kept of it"),
        (
            Finding::Rewritten { size: 6, agreed: 4 },
            "the first 6 entries are not those that were signed, the first 4 still are",
        ),
        (Finding::Truncated { size: 6, entries: 4 }, "the log ends after 4 entries, and 6 were signed"),
        (Finding::Forked { size: 6 }, "two checkpoints of 6 entries have different roots"),
        (
            Finding::WentBack { at: at(4), size: 4, before: 6 },
            "the log had 4 entries at 2026-11-28T10:04:00Z, after it had 6",
        ),
    ] {
        assert_eq!(finding.to_string(), sentence);
    }
}
