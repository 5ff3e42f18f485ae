#include "cli/demo/deployment.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "api/client.hpp"
#include "api/routes.hpp"
#include "base/ids.hpp"
#include "base/log.hpp"
#include "base/sockets.hpp"
#include "cli/demo/timeline.hpp"
#include "cli/role_client.hpp"
#include "cli/role_process.hpp"
#include "cli/trial_folder.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t pnes_in_time = 5000;  ///< so many answer within the usual timeout
constexpr seconds patient_timeout{10};

/// The steps of an assignment are lines at debug. With more PNEs they would cost more than they show.
bool shows_server_steps(const demo_options& o) { return o.pnes <= 1000; }

trial_options trial_of(const demo_options& o, const std::string& folder) {
  trial_options t;
  t.folder = folder;
  t.devices = o.pnes;
  t.user = "alice@example.org";
  t.gateway_name = "demo";
  t.listen = {"127.0.0.1", free_port(SOCK_STREAM)};
  t.rekey = seconds{rekey_of(o)};
  // All PNEs are detected at the same moment, so answers wait in a queue; repetitions would make it longer.
  if (o.pnes > pnes_in_time) t.answer_timeout = patient_timeout;
  t.json_logs = true;
  t.server_steps = shows_server_steps(o);
  t.ready_files = true;
  t.isolated = o.isolation == "process";
  t.plugin = o.transport;
  t.gateway_params = o.params;
  t.pne_params = o.peer_params;
  t.key_sockets = o.key_sockets;
  return t;
}

constexpr const char* starting_server = "starting the server";
constexpr const char* starting_gateway = "starting the gateway";
constexpr const char* starting_pnes = "starting the PNEs";
std::string making(const demo_options& o) { return "making " + std::to_string(o.pnes) + " devices"; }

/// `what` with the last error of the log, because the log is removed with the folder of the demo.
std::string with_last_error(const std::string& what, const std::string& log) {
  const auto last = last_error(log);
  return what + (last.empty() ? "; its log is " + log : ": " + last);
}

class processes final : public deployment {
 public:
  processes(const demo_options& o, std::string folder, std::function<bool()> cancelled)
      : options_(o), folder_(std::move(folder)), cancelled_(std::move(cancelled)) {}
  ~processes() override { processes::stop(); }

  status start(const part_fn& part) override {
    part(making(options_));
    CPNS_TRY(const auto trial, make_trial_folder(trial_of(options_, folder_)));
    part(starting_server);
    CPNS_CHECK(begin("server", trial.server_yaml));
    CPNS_CHECK(ready("server"));
    part(starting_gateway);
    CPNS_CHECK(begin("gateway", trial.gateway_yaml));
    CPNS_CHECK(ready("gateway"));
    part(starting_pnes);
    CPNS_CHECK(begin("pne", trial.pne_yaml));
    CPNS_CHECK(ready("pne"));
    return {};
  }
  std::vector<std::string> logs() const override {
    return {log_of("server"), log_of("gateway"), log_of("pne")};
  }
  std::string broken() override {
    for (auto& [name, child] : children_)
      if (const auto code = child.poll())
        return with_last_error("the " + name + " ended with exit code " + std::to_string(*code),
                               log_of(name));
    return {};
  }
  std::vector<role_usage> usage() const override {
    std::vector<role_usage> out;
    for (const auto& [name, child] : children_) out.push_back({name, usage_of(child.pid())});
    return out;
  }
  status command_pne(const std::string& what, const std::string& entity) override {
    CPNS_TRY(auto role, api::client::connect(folder_ + "/pne.sock"));
    if (const auto done = command_devices(role, what, entity); !done)
      return fail(errc::state_conflict, done.error().detail);
    return {};
  }
  status update_pne(const std::string& entity) override {
    CPNS_TRY(auto role, api::client::connect(folder_ + "/state/gateway.sock"));
    const auto target = "/v1/pnes/" + api::encode_percent(entity) + "/update";
    if (const auto done = ask_role(role, api::verb::post, target); !done)
      return fail(errc::state_conflict, done.error().detail);
    return {};
  }
  void stop() override {
    while (!children_.empty()) {
      children_.back().second.stop();
      children_.pop_back();
    }
  }

 private:
  std::string log_of(const std::string& role) const { return folder_ + "/" + role + ".log"; }
  status begin(const std::string& role, const fs::path& yaml) {
    CPNS_TRY(auto child, child_process::start({role, "--config", yaml.string()}, log_of(role)));
    children_.emplace_back(role, std::move(child));
    return {};
  }
  status ready(const std::string& role) {
    const auto file = folder_ + "/state/" + role + ".ready";
    const auto limit = seconds{20 + options_.pnes / 200};
    for (const auto end = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < end;) {
      if (fs::exists(file)) return {};
      if (const auto why = broken(); !why.empty()) return fail(errc::internal, why);
      if (cancelled_()) return fail(errc::state_stopping, "cancelled");
      std::this_thread::sleep_for(milliseconds{10});
    }
    return fail(errc::peer_timeout, "the " + role + " was not ready within " + std::to_string(limit.count()) +
                                        " s; its log is " + log_of(role));
  }

  demo_options options_;
  std::string folder_;
  std::function<bool()> cancelled_;
  std::vector<std::pair<std::string, child_process>> children_;
};

class one_process final : public deployment {
 public:
  one_process(const demo_options& o, std::string folder) : options_(o), folder_(std::move(folder)) {}
  ~one_process() override { one_process::stop(); }

  status start(const part_fn& part) override {
    part(making(options_));
    CPNS_TRY(const auto trial, make_trial_folder(trial_of(options_, folder_)));
    before_ = usage_of(::getpid()).cpu;
    log::settings logs;
    logs.form = log::format::json;
    if (shows_server_steps(options_)) logs.components["server"] = log::level::debug;
    logs.file = folder_ + "/demo.log";
    CPNS_CHECK(log::configure(logs));
    part(starting_server);
    CPNS_TRY(const auto server, loaded_or_error(config::load_server(trial.server_yaml)));
    CPNS_TRY(auto s, start_server(server));
    server_ = std::make_unique<running_server>(std::move(s));
    part(starting_gateway);
    CPNS_TRY(const auto gateway, loaded_or_error(config::load_gateway(trial.gateway_yaml)));
    CPNS_TRY(auto g, start_gateway(gateway));
    gateway_ = std::make_unique<running_gateway>(std::move(g));
    CPNS_TRY(gateway_keys_, serve_keys(gateway, *gateway_));
    part(starting_pnes);
    CPNS_TRY(const auto pne, loaded_or_error(config::load_pne(trial.pne_yaml)));
    CPNS_TRY(pne_, start_pne(pne));
    CPNS_TRY(pne_keys_, serve_keys(pne, *pne_));
    return {};
  }
  std::vector<std::string> logs() const override { return {folder_ + "/demo.log"}; }
  std::string broken() override {
    const auto why = [this](const char* what) {
      log::flush();
      return with_last_error(what, folder_ + "/demo.log");
    };
    if (server_ && server_->role->failed()) return why("the server has failed");
    if (gateway_ && gateway_->role->failed()) return why("the gateway has failed");
    if (pne_ && pne_->failed()) return why("the PNEs have failed");
    return {};
  }
  std::vector<role_usage> usage() const override {
    auto used = usage_of(::getpid());
    used.cpu -= before_;
    return {{"all", used}};
  }
  status command_pne(const std::string& what, const std::string& entity) override {
    return pne_->command(what, entity);
  }
  status update_pne(const std::string& entity) override {
    CPNS_TRY(const auto id, entity_id::parse(entity));
    return gateway_->role->command("update", id);
  }
  void stop() override {
    if (gateway_) gateway_->role->programs().close();
    pne_keys_.reset();
    gateway_keys_.socket.reset();
    if (pne_) pne_->drain();
    if (gateway_) gateway_->role->drain();
    if (server_) server_->role->drain(seconds{2});
    pne_.reset();
    gateway_.reset();
    server_.reset();
    log::flush();  // or the writer would make the file again, whose folder is removed next
    (void)log::configure({});
  }

 private:
  template <class Loaded>
  static auto loaded_or_error(Loaded l) -> result<typename Loaded::value_type> {
    if (!l) return fail(errc::config_syntax, l.error().lines().front());
    // No user wrote these files: an error of a radio without a place in them is clearer.
    if constexpr (requires { l->transports; })
      for (auto& t : l->transports) t.origin = {};
    return std::move(*l);
  }

  demo_options options_;
  std::string folder_;
  std::chrono::nanoseconds before_{0};  ///< the cost of making the trial folder is not that of the roles
  std::unique_ptr<running_server> server_;
  std::unique_ptr<running_gateway> gateway_;
  std::unique_ptr<actors::pne_role> pne_;
  served_keys gateway_keys_;
  std::unique_ptr<actors::key_socket> pne_keys_;
};

}  // namespace

std::unique_ptr<deployment> make_processes(const demo_options& o, const std::string& folder,
                                           std::function<bool()> cancelled) {
  return std::make_unique<processes>(o, folder, std::move(cancelled));
}
std::unique_ptr<deployment> make_one_process(const demo_options& o, const std::string& folder) {
  return std::make_unique<one_process>(o, folder);
}

}  // namespace cpns::cli
