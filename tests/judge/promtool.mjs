// What Prometheus would make of what gateways show: promtool evaluates the chart's own rules.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const rules = ['alerts', 'slo'].map((name) => path.join(root, `charts/consentry/rules/${name}.yaml`));

function found() {
  // As scripts/charts.sh looks for it, and where it puts it.
  const places = [...process.env.PATH.split(path.delimiter), path.join(root, 'target/tools')];
  return places.map((place) => path.join(place, 'promtool')).find((place) => existsSync(place));
}

export const promtool = found();

// The samples of a page of metrics, by series.
export function samples(page) {
  const lines = page.split('\n').filter((line) => line && !line.startsWith('#'));
  return new Map(lines.map((line) => {
    const sample = line.split(' # ')[0];
    const end = sample.lastIndexOf(' ');
    return [sample.slice(0, end), Number(sample.slice(end + 1))];
  }));
}

const counts = (series) => /_(total|count|sum|bucket)(\{|$)/.test(series);

// What stands in a series of time: `minutes` with what was shown, then `minutes` with what is shown since. Where a
// cause goes on, counters grow each minute by what it made of them.
function times(series, before, after, minutes, goesOn) {
  // Ends of certificates: promtool's time begins at nought.
  const shift = series.includes('expiry_seconds') ? Date.now() / 1000 : 0;
  const [was, is] = [before, after].map((page) => (page.has(series) ? page.get(series) - shift : undefined));
  const first = was === undefined ? `_x${minutes - 1}` : `${was}x${minutes - 1}`;
  if (is === undefined) return `${first} stale`;
  // For how long something lasts grows by itself.
  const lasts = series.includes('unsigned_seconds') && is > 0;
  const growth = goesOn && counts(series) ? is - (was ?? 0) : lasts ? 60 : 0;
  return `${first} ${is}+${growth}x${minutes}`;
}

// Whether an alert fires at a gateway that shows `after` since it showed `before`. `others` show something else: their
// pages, as of other pods.
export function fires(alert, before, after, { minutes = 70, goesOn = true, others = [] } = {}) {
  const named = (series, pod) => (series.includes('{') ? series.replace('{', `{pod="${pod}",`) : `${series}{pod="${pod}"}`);
  const all = new Set([...before.keys(), ...after.keys()]);
  const series = [...all].map((one) => ({ series: named(one, 'a'), values: times(one, before, after, minutes, goesOn) }));
  others.forEach((page, number) => {
    page.forEach((value, one) => series.push({ series: named(one, `b${number}`), values: `${value}x${2 * minutes}` }));
  });
  const folder = mkdtempSync(path.join(os.tmpdir(), 'consentry-alerts-'));
  try {
    const expr = `(count(ALERTS{alertname="${alert}",alertstate="firing"}) > bool 0) or vector(0)`;
    const file = path.join(folder, 'alerts.yaml');
    writeFileSync(file, JSON.stringify({
      rule_files: rules,
      evaluation_interval: '1m',
      tests: [{
        interval: '1m',
        input_series: series,
        promql_expr_test: [{ expr, eval_time: `${2 * minutes - 1}m`, exp_samples: [{ labels: '{}', value: 1 }] }],
      }],
    }));
    execFileSync(promtool, ['test', 'rules', file], { stdio: 'pipe' });
    return true;
  } catch (error) {
    const said = `${error.stdout}${error.stderr}`;
    if (/got:\s*(\n\s*)?Labels:"\{\}" Sample:0|got:[^\n]*\{\} 0/.test(said)) return false;
    throw new Error(said);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
