use super::*;

const PAUSE: Duration = Duration::from_secs(30);
const WALL: Timestamp = Timestamp::UNIX_EPOCH;

fn pulse() -> Arc<Pulse> {
    Arc::default()
}

/// Makes one call that ends so.
fn call(pulse: &Arc<Pulse>, sign: Sign, took: Duration) -> Result<(), Refusal> {
    pulse.admit(Instant::now())?.tell(sign, took, WALL, PAUSE);
    Ok(())
}

fn status(pulse: &Arc<Pulse>) -> HealthStatus {
    pulse.view(Instant::now()).status
}

/// "five consecutive requests for access … are not replied to within 30
/// seconds" (RTS Art. 33(1)).
#[tokio::test(start_paused = true)]
async fn five_calls_in_a_row_without_an_answer_are_unavailability() {
    let pulse = pulse();
    for _ in 0..4 {
        call(&pulse, Sign::Silent, Duration::from_secs(30)).unwrap();
    }
    call(&pulse, Sign::Answered, Duration::from_millis(5)).unwrap();
    for _ in 0..4 {
        call(&pulse, Sign::Silent, Duration::from_secs(30)).unwrap();
    }
    assert_eq!(pulse.view(Instant::now()).presumed_unavailable_since, None);
    assert_ne!(status(&pulse), HealthStatus::Down);
    call(&pulse, Sign::Silent, Duration::from_secs(30)).unwrap();
    let seen = pulse.view(Instant::now());
    assert_eq!(seen.presumed_unavailable_since, Some(WALL));
    assert_eq!(seen.status, HealthStatus::Down);
    assert_eq!(call(&pulse, Sign::Answered, Duration::ZERO), Err(Refusal::Down(PAUSE)));
}

/// A deadline of ours that is shorter than 30 s proves nothing of the kind.
#[tokio::test(start_paused = true)]
async fn calls_cut_off_before_thirty_seconds_open_the_breaker_and_presume_nothing() {
    let pulse = pulse();
    for _ in 0..5 {
        call(&pulse, Sign::Silent, Duration::from_secs(10)).unwrap();
    }
    let seen = pulse.view(Instant::now());
    assert_eq!((seen.status, seen.presumed_unavailable_since), (HealthStatus::Down, None));
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_finds_out_whether_a_bank_is_back() {
    let pulse = pulse();
    for _ in 0..5 {
        call(&pulse, Sign::Silent, PAUSE).unwrap();
    }
    tokio::time::advance(PAUSE).await;
    let probe = pulse.admit(Instant::now()).unwrap();
    assert!(matches!(pulse.admit(Instant::now()), Err(Refusal::Down(_))));
    // A probe that was never sent lets the next one through.
    drop(probe);
    call(&pulse, Sign::Silent, PAUSE).unwrap();
    tokio::time::advance(PAUSE).await;
    assert!(matches!(call(&pulse, Sign::Answered, Duration::ZERO), Err(Refusal::Down(_))));
    tokio::time::advance(PAUSE).await;
    call(&pulse, Sign::Answered, Duration::from_millis(3)).unwrap();
    assert_eq!(status(&pulse), HealthStatus::Healthy);
    call(&pulse, Sign::Failed, Duration::ZERO).unwrap();
    assert_eq!(status(&pulse), HealthStatus::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_bank_that_fails_most_calls_is_left_alone_and_one_that_fails_some_is_degraded() {
    let pulse = pulse();
    for n in 0..20 {
        let sign = if n % 5 == 0 { Sign::Failed } else { Sign::Answered };
        call(&pulse, sign, Duration::from_millis(n)).unwrap();
    }
    let seen = pulse.view(Instant::now());
    assert_eq!((seen.status, seen.calls, seen.failed), (HealthStatus::Degraded, 20, 4));
    assert_eq!(seen.median, Some(Duration::from_millis(10)));
    assert_eq!(seen.p95, Some(Duration::from_millis(19)));
    tokio::time::advance(WINDOW + Duration::from_secs(1)).await;
    assert_eq!(status(&pulse), HealthStatus::Unknown);
    for _ in 0..10 {
        call(&pulse, Sign::Failed, Duration::ZERO).unwrap();
    }
    assert_eq!(status(&pulse), HealthStatus::Down);
}

#[tokio::test(start_paused = true)]
async fn a_refused_certificate_stops_calls_at_once() {
    let pulse = pulse();
    call(&pulse, Sign::Closed, Duration::ZERO).unwrap();
    assert_eq!(status(&pulse), HealthStatus::Down);
}

#[tokio::test(start_paused = true)]
async fn a_bank_that_asks_for_a_pause_gets_it() {
    let pulse = pulse();
    pulse.throttle(Instant::now(), Duration::from_secs(7));
    pulse.throttle(Instant::now(), Duration::from_secs(2));
    assert_eq!(call(&pulse, Sign::Answered, PAUSE), Err(Refusal::Throttled(Duration::from_secs(7))));
    assert_eq!(status(&pulse), HealthStatus::Degraded);
    tokio::time::advance(Duration::from_secs(7)).await;
    call(&pulse, Sign::Answered, Duration::ZERO).unwrap();
    pulse.throttle(Instant::now(), Duration::from_secs(1_000_000));
    assert_eq!(call(&pulse, Sign::Answered, PAUSE), Err(Refusal::Throttled(LONGEST_THROTTLE)));
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_tenth_of_the_calls() {
    let pulse = pulse();
    let used = (0..100).filter(|_| pulse.take_retry()).count();
    assert_eq!(used, 10);
    for _ in 0..20 {
        call(&pulse, Sign::Answered, Duration::ZERO).unwrap();
    }
    assert_eq!((0..100).filter(|_| pulse.take_retry()).count(), 2);
}
