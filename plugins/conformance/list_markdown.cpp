#include "plugins/conformance/report.hpp"

namespace cpns::conformance {

std::string list_as_markdown(const std::vector<test>& tests) {
  std::string out = R"(# Checking a transport

Made by `cpns transport check --list --format markdown`; do not edit.

    cpns transport check ./libradio.so
    cpns transport check tcp --test calls-in-any-order --seed 7
    cpns transport check ./libradio.so --format junit --output report.xml

`cpns transport check` asks whether a plugin keeps the rules of `plugins/abi/transport.h`. Each test runs in a process of its own with
a time limit, so a plugin that crashes or hangs costs one test.

| result | what it says |
|---|---|
| passed | the rule holds |
| failed | it does not; the line says which rule and what was seen |
| crashed | the plugin took its process with it; the line has the signal and the last call |
| warning | allowed, and not good |
| skipped | it does not apply, or a test that it needs did not pass |

The exit code is 0 if none failed or crashed, 1 otherwise, 2 for a wrong command line, 130 if it was
interrupted: the test that runs is ended, and no report is written for what is not whole. A rule has one test that stands for it: a broken
rule counts there, whichever test saw it. Below a test that failed or crashed stand the last lines that the plugin
logged, each with its time and role; JSON has them as `log`, JUnit as `system-out`.

A run prints its seed; `--seed` draws the same again. `--in-process --test NAME` runs one test without a child, for a debugger.

## How the two roles meet

A central and a peripheral of the plugin are opened in one process and have to find each other. `--param k=v` goes to the
central, `--peer-param k=v` to the peripheral. What a plugin always needs stands in its check file: `NAME.check.yaml` beside
`NAME.so`, or the file after `--config`.

```yaml
both:       {network: "{run}"}                          # parameters of both roles
central:    {announce: "127.255.255.255:{udp}"}         # of one
peripheral: {discover: "{udp}"}
few_links:  {max_links: "3"}                            # makes the plugin declare few links, for max-links-is-kept
refused:    ["mtu=22", "mtu=many"]                      # what open has to refuse, for bad-values-are-refused
```

Drawn anew for each meeting, so that runs do not meet: `{run}` a name of at most 12 bytes, `{udp}` and `{tcp}` ports that are free on
127.0.0.1, `{folder}` an empty folder. All keys may be left out.

## The tests

| test | rule | needs | limit |
|---|---|---|---|
)";
  for (const auto& t : tests)
    out += "| `" + std::string{t.name} + "` | " + std::string{t.sentence} + " | " +
           (t.needs.empty() ? "" : "`" + std::string{t.needs} + "`") + " | " +
           std::to_string(t.limit.count()) + " s |\n";
  return out;
}

}  // namespace cpns::conformance
