#include "cli/demo/deployment.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "actors/control.hpp"
#include "base/free_port.hpp"
#include "base/log.hpp"
#include "cli/demo/log_follower.hpp"
#include "cli/role_setup.hpp"
#include "cli/trial_folder.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

trial_options trial_of(const demo_options& o, const std::string& folder) {
  trial_options h;
  h.folder = folder;
  h.devices = o.pnes;
  h.user = "alice@example.org";
  h.gateway_name = "demo";
  h.listen = {"127.0.0.1", free_port(SOCK_STREAM)};
  h.rekey = seconds{rekey_of(o)};
  h.json_logs = true;
  h.ready_files = true;
  h.isolated = o.isolation == "process";
  h.plugin = o.transport;
  h.gateway_params = o.params;
  h.pne_params = o.peer_params;
  return h;
}

/// The log of a demo goes with its folder, so that what counts of it is said.
std::string with_last_words(const std::string& what, const std::string& log) {
  const auto words = last_words(log);
  return what + (words.empty() ? "; its log is " + log : ": " + words);
}

class processes final : public deployment {
 public:
  processes(const demo_options& o, std::string folder, std::function<bool()> cancelled)
      : options_(o), folder_(std::move(folder)), cancelled_(std::move(cancelled)) {}
  ~processes() override { processes::stop(); }

  status start() override {
    CPNS_TRY(const auto trial, make_trial_folder(trial_of(options_, folder_)));
    CPNS_CHECK(begin("server", trial.server_yaml));
    CPNS_CHECK(ready("server"));
    CPNS_CHECK(begin("gateway", trial.gateway_yaml));
    CPNS_CHECK(ready("gateway"));
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
        return with_last_words("the " + name + " ended with exit code " + std::to_string(*code),
                               log_of(name));
    return {};
  }
  std::vector<role_usage> usage() const override {
    std::vector<role_usage> out;
    for (const auto& [name, child] : children_) out.push_back({name, usage_of(child.pid())});
    return out;
  }
  status tell_pne(const std::string& what, const std::string& entity) override {
    const auto request = boost::json::serialize(boost::json::object{{"do", what}, {"entity", entity}});
    CPNS_TRY(const auto said, actors::control_call(folder_ + "/state/pne.sock", request));
    if (said.find("\"error\"") != std::string::npos) return fail(errc::state_unknown, said);
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
    for (int i = 0; i < 2000; ++i) {
      if (fs::exists(file)) return {};
      if (const auto why = broken(); !why.empty()) return fail(errc::internal, why);
      if (cancelled_()) return fail(errc::state_stopping, "cancelled");
      std::this_thread::sleep_for(milliseconds{10});
    }
    return fail(errc::peer_timeout, "the " + role + " was not ready within 20 s; its log is " + log_of(role));
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

  status start() override {
    CPNS_TRY(const auto trial, make_trial_folder(trial_of(options_, folder_)));
    before_ = usage_of(::getpid()).cpu;
    log::settings logs;
    logs.form = log::format::json;
    logs.file = folder_ + "/demo.log";
    CPNS_CHECK(log::configure(logs));
    CPNS_TRY(const auto server, loaded_or_error(config::load_server(trial.server_yaml)));
    CPNS_TRY(auto s, start_server(server));
    server_ = std::make_unique<running_server>(std::move(s));
    CPNS_TRY(const auto gateway, loaded_or_error(config::load_gateway(trial.gateway_yaml)));
    CPNS_TRY(auto g, start_gateway(gateway));
    gateway_ = std::make_unique<running_gateway>(std::move(g));
    CPNS_TRY(const auto pne, loaded_or_error(config::load_pne(trial.pne_yaml)));
    CPNS_TRY(pne_, start_pne(pne));
    return {};
  }
  std::vector<std::string> logs() const override { return {folder_ + "/demo.log"}; }
  std::string broken() override {
    const auto why = [this](const char* what) { return with_last_words(what, folder_ + "/demo.log"); };
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
  status tell_pne(const std::string& what, const std::string& entity) override {
    return pne_->command(what, entity);
  }
  void stop() override {
    if (pne_) pne_->drain();
    if (gateway_) gateway_->role->drain();
    if (server_) server_->role->drain(seconds{2});
    pne_.reset();
    gateway_.reset();
    server_.reset();
    (void)log::configure({});
  }

 private:
  template <class Loaded>
  static auto loaded_or_error(Loaded l) -> result<typename Loaded::value_type> {
    if (!l) return fail(errc::config_syntax, l.error().lines().front());
    // Nobody wrote these files: what is wrong with a radio is not told with a place in them.
    if constexpr (requires { l->transports; })
      for (auto& t : l->transports) t.origin = {};
    return std::move(*l);
  }

  demo_options options_;
  std::string folder_;
  std::chrono::nanoseconds before_{0};  ///< what making the home cost is none of the roles'
  std::unique_ptr<running_server> server_;
  std::unique_ptr<running_gateway> gateway_;
  std::unique_ptr<actors::pne_role> pne_;
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
