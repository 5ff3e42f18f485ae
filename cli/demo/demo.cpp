#include "cli/demo/demo.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/temporary_folder.hpp"
#include "cli/daemon.hpp"
#include "cli/demo/application.hpp"
#include "cli/demo/application_report.hpp"
#include "cli/demo/deployment.hpp"
#include "cli/demo/progress.hpp"
#include "cli/demo/timeline.hpp"
#include "cli/terminal.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;
using steady = std::chrono::steady_clock;

constexpr seconds base_timeout{60};
constexpr milliseconds poll_interval{30};

class demonstration {
 public:
  explicit demonstration(const demo_options& o)
      : options_(o), progress_(o.json), timeline_([this](const timeline_line& l) { print(l); }) {}

  int run() {
    raise_file_limit();
    if (!options_.application.empty()) {
      auto made = mqtt_application::make(options_);
      if (!made) return report(made.error());
      application_ = std::move(*made);
      options_.key_sockets = application_->sockets();
    }
    if (const auto made = make_folder(); !made) return report(made.error());
    const bool one_process = options_.transport != "tcp";
    deployment_ = one_process ? make_one_process(options_, folder_ + "/home")
                              : make_processes(options_, folder_ + "/home", cancelled);
    const int code = play(one_process);
    if (application_) application_->stop();
    deployment_->stop();
    deployment_.reset();
    return code;
  }

 private:
  status make_folder() {
    if (!options_.keep.empty()) {
      folder_ = fs::absolute(options_.keep).string();
      std::error_code wrong;
      if (fs::exists(folder_) && !fs::is_empty(folder_, wrong))
        return fail(errc::config_usage, "--keep " + folder_ + ": the folder is not empty; name a new one");
      fs::create_directories(folder_, wrong);
      if (wrong) return fail(errc::config_file, folder_ + ": " + wrong.message());
      return {};
    }
    CPNS_TRY(auto made, temporary_folder::make("cpns-demo"));
    folder_ = made.path();
    temporary_.emplace(std::move(made));
    return {};
  }

  int play(bool one_process) {
    say(paint(colour::bold, "cpns demo") + ": " + std::to_string(options_.pnes) +
        (options_.pnes == 1 ? " PNE" : " PNEs") + " over " + options_.transport +
        (one_process ? "; all roles run in one process"
                     : "; server, gateway and PNEs run in separate processes"));
    const auto began = steady::now();
    if (const auto started = start(); !started) {
      if (cancelled()) return stop_early();
      return report(started.error());
    }
    started_in_ = steady::now() - began;
    follower_ = std::make_unique<log_follower>(deployment_->logs());
    follower_->only([this](std::string_view line) { return timeline_.needs(line); });
    say("");
    growth keyed;
    if (!wait_for(
            "the first keys of all PNEs", base_timeout + seconds{options_.pnes / 20},
            [this] { return timeline_.keyed() >= options_.pnes; },
            [&] { return counted("keyed", timeline_.keyed(), options_.pnes, keyed); }))
      return failed_code_;
    settle();
    used_ = deployment_->usage();
    if (!(application_ ? use_keys() : renew_keys())) return failed_code_;
    sum_up();
    return timeline_.keyed() >= options_.pnes ? end_of_application() : exit_failed;
  }

  bool renew_keys() {
    if (!(orders_updates(options_) ? order_updates() : await_updates())) return false;
    settle();
    if (!wake_up()) return false;
    settle();
    return true;
  }

  /// The clients run while the keys of all PNEs change.
  bool use_keys() {
    steps_shown_ = false;
    auto entities = timeline_.others(options_.pnes - 1);
    entities.insert(entities.begin(), timeline_.first());
    if (const auto started = application_->start(folder_, options_.keep.empty() ? "" : folder_, entities);
        !started)
      return cancelled() ? give_up_early() : give_up(started.error());
    say("\n" + paint(colour::bold, "Application mqtt") +
        ": a mosquitto broker on 127.0.0.1:" + std::to_string(application_->port()) +
        " and an MQTT client of each PNE. For each message a client makes a new TLS-PSK\nconnection with the "
        "newest key of its PNE. Each PNE gets another key every " +
        std::to_string(rekey_of(options_)) + " s, for " + std::to_string(options_.seconds) + " s.");
    say(application_heads());
    const auto began = steady::now();
    const auto confirmed = timeline_.confirmations();
    const auto row_every = seconds{std::max({rekey_of(options_), options_.seconds / 15, 1U})};
    auto row_at = began + row_every;
    const auto show_row = [&] {
      renewed_ = timeline_.confirmations() - confirmed;
      used_for_ = std::chrono::round<seconds>(steady::now() - began);
      say(application_row(used_for_, renewed_, timeline_.epoch(timeline_.first()), application_->look()));
      row_at += row_every;
    };
    const auto end = began + seconds{options_.seconds};
    const auto no_line = [] { return std::string{}; };
    if (!wait_for(
            "the clients", seconds{options_.seconds} + base_timeout,
            [&] {
              if (steady::now() >= row_at && row_at < end) show_row();
              return steady::now() >= end;
            },
            no_line))
      return false;
    application_->end_clients();
    if (!wait_for(
            "the end of the clients", base_timeout,
            [this] { return application_->has_ended() && application_->broken().empty(); }, no_line))
      return false;
    show_row();
    return true;
  }

  int end_of_application() {
    if (!application_) return exit_done;
    const auto why = application_failure(renewed_, application_->look());
    if (why.empty()) return exit_done;
    std::cerr << "cpns: " << why
              << (options_.keep.empty() ? "; run it with --keep DIR and read DIR/clients.log" : "") << "\n";
    return exit_failed;
  }

  bool await_updates() {
    growth updated;
    // If the first keys of all took longer than that, the update has happened already.
    say("\n" + paint(colour::bold, "Periodic update") + " of the first PNE, " +
        std::to_string(rekey_of(options_)) + " s after its key");
    return wait_for(
        "the periodic update", seconds{rekey_of(options_) * 2} + base_timeout,
        [&] {
          return timeline_.confirmations(timeline_.first()) > 1 &&
                 timeline_.updated() >= part_of(options_.pnes);
        },
        [&] { return counted("updated", timeline_.updated(), part_of(options_.pnes), updated) + due(); });
  }

  /// The timers of many PNEs are long, so that their updates do not compete with the first keys of the others.
  bool order_updates() {
    auto entities = timeline_.others(part_of(options_.pnes) - 1);
    entities.insert(entities.begin(), timeline_.first());
    say("\n" + paint(colour::bold, "Update") + " of " + std::to_string(entities.size()) +
        " PNEs, as an operator orders it; their timers end " + std::to_string(rekey_of(options_)) +
        " s after the first keys");
    return renew(entities, "updated", "the update",
                 [this](const std::string& entity) { return deployment_->update_pne(entity); });
  }

  bool wake_up() {
    say("\n" + paint(colour::bold, "Wake-up") +
        ": the first PNE sleeps, wakes up, is detected and compared with the remembered Entity ID");
    const auto before = timeline_.confirmations(timeline_.first());
    for (const char* what : {"sleep", "wake"}) {
      if (const auto done = deployment_->command_pne(what, timeline_.first()); !done)
        return give_up(done.error());
      settle();
    }
    return wait_for(
               "the wake-up", base_timeout,
               [&] { return timeline_.confirmations(timeline_.first()) > before; },
               [] { return std::string{"waiting for the new key"}; }) &&
           wake_others();
  }

  /// Of many PNEs one in a thousand wakes up, all at the same moment.
  bool wake_others() {
    woken_ = 1;
    const auto entities = timeline_.others(options_.pnes / 1000);
    if (entities.empty()) return true;
    say("\n" + paint(colour::bold, "Wake-up") + " of " + std::to_string(entities.size()) + " others");
    for (const auto& entity : entities)
      if (const auto done = deployment_->command_pne("sleep", entity); !done) return give_up(done.error());
    if (!renew(entities, "woken", "the wake-up",
               [this](const std::string& entity) { return deployment_->command_pne("wake", entity); }))
      return false;
    woken_ += entities.size();
    return true;
  }

  /// Calls `order` for each, and waits until each has a newer key than before.
  template <class Order>
  bool renew(const std::vector<std::string>& entities, const std::string& counted_as, const std::string& what,
             Order order) {
    std::vector<std::pair<std::string, std::size_t>> before;
    for (const auto& entity : entities) before.emplace_back(entity, timeline_.confirmations(entity));
    for (const auto& entity : entities)
      if (const status done = order(entity); !done) return give_up(done.error());
    growth renewed;
    const auto now_renewed = [&] {
      return static_cast<std::size_t>(std::count_if(before.begin(), before.end(), [this](const auto& b) {
        return timeline_.confirmations(b.first) > b.second;
      }));
    };
    return wait_for(
        what + " of " + std::to_string(before.size()) + " PNEs", base_timeout,
        [&] { return now_renewed() == before.size(); },
        [&] { return counted(counted_as, now_renewed(), before.size(), renewed); });
  }

  bool give_up(const error& why) {
    failed_code_ = report(why);
    return false;
  }
  bool give_up_early() {
    failed_code_ = stop_early();
    return false;
  }

  /// So many PNEs must be updated: all of them would take as long as their timers.
  static std::size_t part_of(std::size_t all) { return std::max<std::size_t>(1, all / 100); }

  static std::string counted(const std::string& what, std::size_t now, std::size_t all, growth& over) {
    return what + " " + bar(std::min(now, all), all, 20) + " " + std::to_string(now) + " of " +
           std::to_string(all) + ", " + std::to_string(over.per_second(now)) + " per second";
  }

  /// The time until the first PNE's update, so that nobody waits for a timer that is not shown.
  [[nodiscard]] std::string due() const {
    if (timeline_.confirmations(timeline_.first()) > 1 || !timeline_.first_keyed_at()) return {};
    const auto left = *timeline_.first_keyed_at() / 1000 + rekey_of(options_) - unix_seconds(now_wall());
    return left > 0 ? "; the first is due in about " + std::to_string(left) + " s" : "; the first is due";
  }

  status start() {
    progress_.begin();
    step_clock clock{progress_};
    return deployment_->start([&clock](const std::string& part) { clock.now(part); });
  }

  template <class Done, class Status>
  bool wait_for(const std::string& what, seconds timeout, Done done, Status line) {
    const auto deadline = steady::now() + timeout;
    progress_.begin();
    for (;;) {
      look();
      if (done()) {
        progress_.clear();
        return true;
      }
      std::string wrong = deployment_->broken();
      if (wrong.empty()) wrong = give_up_reason_;
      if (wrong.empty() && application_) wrong = application_->broken();
      if (cancelled()) return give_up_early();
      if (wrong.empty() && steady::now() > deadline)
        wrong = "timed out after " + std::to_string(timeout.count()) + " s of waiting for " + what + "; " +
                std::to_string(timeline_.keyed()) + " of " + std::to_string(options_.pnes) +
                " PNEs are keyed";
      if (!wrong.empty()) {
        progress_.clear();
        std::cerr << "cpns: " << wrong << "\n";
        failed_code_ = exit_failed;
        return false;
      }
      if (const auto text = line(); !text.empty()) progress_.show(text);
      std::this_thread::sleep_for(poll_interval);
    }
  }

  /// A role has logged that it cannot serve all PNEs, so that waiting is useless.
  static bool cannot_serve_all(const log_event& e) {
    return e.component == "pne" && (e.event == "limits-contradict" || e.event == "not-presented");
  }

  void look() {
    const auto events = follower_->poll();
    for (const auto& e : events) {
      timeline_.take(e);
      if (e.level == "error") {
        progress_.clear();
        std::cerr << paint(colour::red, e.component + ": " + e.text) << "\n";
      }
      if (give_up_reason_.empty() && cannot_serve_all(e))
        give_up_reason_ = "the role " + e.component + " cannot serve all PNEs: " + e.text;
    }
    timeline_.release(events.empty());
  }
  /// The last lines of an exchange are logged a moment after its confirmation.
  void settle() {
    for (int i = 0; i < 15; ++i) {
      look();
      std::this_thread::sleep_for(poll_interval);
    }
  }

  void print(const timeline_line& l) {
    if (options_.json || !steps_shown_) return;
    progress_.clear();
    std::printf("  %s  %s  %-22s %s\n", paint(colour::dim, fmt_ms(l.ms)).c_str(),
                paint(colour::blue, step_text(l.step)).c_str(), l.from_to.c_str(), l.what.c_str());
    std::fflush(stdout);
  }
  static std::int64_t ms_of(steady::duration d) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  }
  static std::string fmt_ms(std::int64_t ms) {
    char text[32];
    std::snprintf(text, sizeof text, "%7lld ms", static_cast<long long>(ms));
    return text;
  }
  static std::string step_text(int step) {
    return std::string{"step "} + (step < 10 ? " " : "") + std::to_string(step);
  }

  void sum_up() {
    const auto f = timeline_.sum_up(options_.pnes);
    if (options_.json) {
      boost::json::object epochs;
      for (const auto& [epoch, count] : f.epochs) epochs[epoch] = count;
      boost::json::object cpu, resident;
      for (const auto& [role, used] : used_) {
        cpu[role] = std::chrono::duration_cast<std::chrono::microseconds>(used.cpu).count();
        resident[role] = used.resident_kb;
      }
      boost::json::object all{{"transport", options_.transport},
                              {"pnes", options_.pnes},
                              {"keyed", f.keyed},
                              {"failed", f.failed},
                              {"updated", f.updated},
                              {"woken", woken_},
                              {"start_ms", ms_of(started_in_)},
                              {"all_keyed_ms", f.all_keyed},
                              {"p50_ms", f.p50},
                              {"p99_ms", f.p99},
                              {"cpu_us", std::move(cpu)},
                              {"resident_kb", std::move(resident)},
                              {"epochs", std::move(epochs)}};
      if (application_) all["application"] = application_json(used_for_, renewed_, application_->look());
      std::cout << boost::json::serialize(all) << "\n";
      return;
    }
    std::string epochs;
    for (const auto& [epoch, count] : f.epochs)
      epochs += (epochs.empty() ? "" : ", ") + epoch + " x " + std::to_string(count);
    say("\n  keyed    " + paint(colour::green, std::to_string(f.keyed)) + "\n  failed   " +
        (f.failed == 0 ? "0" : paint(colour::red, std::to_string(f.failed))) +
        "\n  first key, from detection to confirmation   p50 " + std::to_string(f.p50) + " ms, p99 " +
        std::to_string(f.p99) + " ms\n  epochs   " + epochs);
    if (application_) return say(application_line(application_->look()));
    say("\nTry next:\n  cpns demo --pnes 1000\n"
        "  cpns init trial        then start the three roles, each in its own terminal: cpns server --config "
        "trial/server.yaml ...\n"
        "  cpns demo --keep DIR   and read DIR/home: configurations, stores and logs");
  }

  int stop_early() {
    progress_.clear();
    return interrupted("all roles have ended");
  }
  void say(const std::string& text) {
    if (!options_.json) std::cout << text << std::endl;
  }

  demo_options options_;
  progress progress_;
  timeline timeline_;
  std::optional<temporary_folder> temporary_;  ///< without --keep
  std::string folder_;
  std::unique_ptr<deployment> deployment_;
  std::unique_ptr<log_follower> follower_;
  std::vector<role_usage> used_;  ///< when all were keyed
  steady::duration started_in_{0};
  std::size_t woken_ = 0;
  std::unique_ptr<mqtt_application> application_;  ///< ends before the roles
  bool steps_shown_ = true;
  std::size_t renewed_ = 0;  ///< keys, while the application ran
  seconds used_for_{0};
  std::string give_up_reason_;  ///< why waiting is useless
  int failed_code_ = exit_failed;
};

}  // namespace

int run_demo(const demo_options& o) { return demonstration{o}.run(); }

}  // namespace cpns::cli
