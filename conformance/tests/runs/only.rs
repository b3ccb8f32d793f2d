//! `--only`: one case, several, and none that there is not.

use crate::{Stage, pairs, verdicts};

#[tokio::test]
async fn it_plays_the_case_that_is_named_or_each_of_several() {
    let stage = Stage::new(&["one", "two", "three"], &["one", "two", "three"]).await;
    let run = stage.plays(&["--only", "stage-two"], 0).await;
    assert_eq!(verdicts(&run), pairs(&[("two", "passed")]));
    let run = stage.plays(&["--only", "stage-one", "--only", "stage-two"], 0).await;
    assert_eq!(verdicts(&run), pairs(&[("one", "passed"), ("two", "passed")]));
    // A part of an id names all that have it.
    let run = stage.plays(&["--only", "stage-t"], 0).await;
    assert_eq!(verdicts(&run), pairs(&[("three", "passed"), ("two", "passed")]));
}

#[tokio::test]
async fn what_fails_elsewhere_does_not_count() {
    let stage = Stage::new(&["one"], &["one", "two"]).await;
    stage.plays(&[], 1).await;
    stage.plays(&["--only", "stage-one"], 0).await;
    stage.plays(&["--only", "stage-two"], 1).await;
}

/// A slip would otherwise look like a case that passed.
#[tokio::test]
async fn a_case_that_there_is_not_is_an_error_also_beside_one_that_there_is() {
    let stage = Stage::new(&["one"], &["one"]).await;
    for only in [&["--only", "stage-four"][..], &["--only", "stage-one", "--only", "stage-four"]] {
        let run = stage.plays(only, 2).await;
        assert!(!run.exists(), "{only:?}");
    }
}
