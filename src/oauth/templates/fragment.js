// The answer of a bank stands behind the `#`, which no browser sends to a server
// (OpenID Connect Core §3.3.2.5). It goes on as a query, and the address with it
// leaves the history.
const answer = window.location.hash.slice(1);
if (answer) {
  window.location.replace(`${window.location.pathname}/fragment?${answer}`);
}
