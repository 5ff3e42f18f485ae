#include "plugins/conformance/report.hpp"

namespace cpns::conformance {

std::string list_as_markdown(const std::vector<test>& tests) {
  std::string out = R"(# Checking a transport

Made by `cpns transport check --list --format markdown`; do not edit.

    cpns transport check ./libradio.so
    cpns transport check tcp --test calls-in-any-order --seed 7
    cpns transport check ./libradio.so --format junit --output report.xml

`cpns transport check` tests whether a plugin keeps the rules of `cpns/abi/transport.h`. Each test runs in its own process with a
time limit, so a plugin that crashes or hangs fails only one test.

| result | meaning |
|---|---|
| passed | the plugin keeps the rule |
| failed | it breaks the rule; the line names the rule and the observation |
| crashed | the plugin ended the test's process; the line has the signal and the last call |
| warning | allowed, but not recommended |
| skipped | the rule does not apply, or a test that this one needs did not pass |

The exit code is 0 if no test failed or crashed, 1 otherwise, 2 for a wrong command line, 130 if it was interrupted: the current test
is ended, and no report is written. Every rule belongs to one test: a breach counts for that test, even if another test detected it.
Below a test that failed or crashed the report shows the last lines that the plugin logged, each with its time and role; JSON has them
as `log`, JUnit as `system-out`.

A run prints its seed; `--seed` repeats the same random choices. `--in-process --test NAME` runs one test without a child process, for
a debugger.

## How the two roles find each other

A central and a peripheral of the plugin are opened in one process and must find each other. `--param k=v` sets a parameter of the
central, `--peer-param k=v` one of the peripheral. Parameters that a plugin always needs are in its check file: `NAME.check.yaml`
beside `NAME.so`, or the file after `--config`.

```yaml
both:       {network: "{run}"}                          # parameters of both roles
central:    {announce: "127.255.255.255:{udp}"}         # of one role
peripheral: {discover: "{udp}"}
few_links:  {max_links: "3"}                            # makes the plugin declare few links, for max-links-is-kept
refused:    ["mtu=22", "mtu=many"]                      # values that open must refuse, for bad-values-are-refused
```

Placeholders are replaced for each pair of instances, so that pairs do not find each other: `{run}` is a name of at most 12 bytes,
`{udp}` and `{tcp}` are free ports on 127.0.0.1, `{folder}` is an empty folder. All keys are optional.

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
