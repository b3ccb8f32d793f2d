//! Keys and certificates, made once for all tests: finding RSA keys is a third of a sandbox's start.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use consentry::sandbox::{Sandbox, SandboxOptions};
use domain::Clock;

/// Longest time that a template serves: its certificates are those of that time.
const SERVES: Duration = Duration::from_secs(6 * 60 * 60);

/// Gives a sandbox that is to start below `data` keys and certificates that are there already,
/// unless its clock shows a time at which they were not.
pub async fn seed(data: &Path, clock: &dyn Clock) {
    let shelf = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let template = shelf.join("sandbox-template");
    // Tests are processes or threads, and come at the same time.
    let lock = File::create(shelf.join("sandbox-template.lock")).unwrap();
    lock.lock().unwrap();
    if !serves(&template) {
        let _ = fs::remove_dir_all(&template);
        Sandbox::start(SandboxOptions::at(&template)).await.unwrap().stop().await;
    }
    let made = made(&template).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let made = Duration::from_secs(made.as_secs());
    let shown = Duration::from_secs(clock.now().as_second().try_into().unwrap());
    if (made..made + SERVES * 2).contains(&shown) {
        super::copy(&template, data, |_, _| {});
    }
}

/// Whether it was made by these tests, or by those before them that were built from the same.
fn serves(template: &Path) -> bool {
    let built = fs::metadata(std::env::current_exe().unwrap()).unwrap().modified().unwrap();
    made(template).is_some_and(|made| made > built && made.elapsed().is_ok_and(|age| age < SERVES))
}

/// When it was whole.
fn made(template: &Path) -> Option<SystemTime> {
    fs::metadata(template.join("state.json")).ok()?.modified().ok()
}
