#pragma once
// Hides the differences between sdbus-c++ 1 (Debian 12) and 2 (Debian 13). CPNS_SDBUS is the major version. Runs
// in the loop's thread; throws sdbus::Error.

#include <sdbus-c++/sdbus-c++.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cpns::ble::dbus {

/// Receives the reply of a call, or its error.
using answer = std::function<void(sdbus::MethodReply&, const sdbus::Error*)>;
using signal_handler = std::function<void(sdbus::Message&)>;

#if CPNS_SDBUS >= 2

inline std::unique_ptr<sdbus::IProxy> make_proxy(sdbus::IConnection& on, const char* service,
                                                 const std::string& path) {
  return sdbus::createProxy(on, sdbus::ServiceName{service}, sdbus::ObjectPath{path});
}

inline sdbus::MethodCall method_call(sdbus::IProxy& of, const char* interface, const char* method) {
  return of.createMethodCall(sdbus::InterfaceName{interface}, sdbus::MethodName{method});
}

inline void call_later(sdbus::IProxy& to, sdbus::MethodCall& message, answer done,
                       std::chrono::microseconds timeout) {
  to.callMethodAsync(
      message,
      [done = std::move(done)](sdbus::MethodReply reply, std::optional<sdbus::Error> wrong) {
        done(reply, wrong ? &*wrong : nullptr);
      },
      timeout);
}

/// Calls `heard` for each message that matches `rule`, while the connection exists.
inline void listen(sdbus::IConnection& on, const std::string& rule, signal_handler heard) {
  on.addMatch(rule, [heard = std::move(heard)](sdbus::Message m) { heard(m); });
}

/// Processes one pending message; false: none is pending.
inline bool process_one(sdbus::IConnection& of) { return of.processPendingEvent(); }

inline sdbus::Error error(const char* name, const std::string& text) {
  return sdbus::Error{sdbus::Error::Name{name}, text};
}

#else

inline std::unique_ptr<sdbus::IProxy> make_proxy(sdbus::IConnection& on, const char* service,
                                                 const std::string& path) {
  return sdbus::createProxy(on, service, path);
}

inline sdbus::MethodCall method_call(sdbus::IProxy& of, const char* interface, const char* method) {
  return of.createMethodCall(interface, method);
}

inline void call_later(sdbus::IProxy& to, sdbus::MethodCall& message, answer done,
                       std::chrono::microseconds timeout) {
  to.callMethod(
      message,
      [done = std::move(done)](sdbus::MethodReply& reply, const sdbus::Error* wrong) { done(reply, wrong); },
      timeout);
}

/// Calls `heard` for each message that matches `rule`, while the connection exists.
inline void listen(sdbus::IConnection& on, const std::string& rule, signal_handler heard) {
  on.addMatch(
      rule, [heard = std::move(heard)](sdbus::Message& m) { heard(m); }, sdbus::floating_slot);
}

/// Processes one pending message; false: none is pending.
inline bool process_one(sdbus::IConnection& of) { return of.processPendingRequest(); }

inline sdbus::Error error(const char* name, const std::string& text) { return sdbus::Error{name, text}; }

#endif

/// An object exported to the bus while this exists. Add properties and methods first, then call show().
class object {
 public:
  object(sdbus::IConnection& on, std::string path)
      : path_(std::move(path)), it_(sdbus::createObject(on, sdbus::ObjectPath{path_})) {}
  [[nodiscard]] const std::string& path() const { return path_; }
  void manage_others() { it_->addObjectManager(); }

#if CPNS_SDBUS >= 2
  template <class Getter>
  void property(const char* interface, const char* name, Getter get) {
    has_[interface].emplace_back(sdbus::registerProperty(name).withGetter(std::move(get)));
  }
  template <class Act>
  void method(const char* interface, const char* name, Act act) {
    has_[interface].emplace_back(sdbus::registerMethod(name).implementedAs(std::move(act)));
  }
  void show() {
    for (auto& [interface, items] : std::exchange(has_, {}))
      it_->addVTable(sdbus::InterfaceName{interface}, std::move(items));
  }
#else
  template <class Getter>
  void property(const char* interface, const char* name, Getter get) {
    it_->registerProperty(name).onInterface(interface).withGetter(std::move(get));
  }
  template <class Act>
  void method(const char* interface, const char* name, Act act) {
    it_->registerMethod(name).onInterface(interface).implementedAs(std::move(act));
  }
  void show() { it_->finishRegistration(); }
#endif

 private:
  std::string path_;
  std::unique_ptr<sdbus::IObject> it_;
#if CPNS_SDBUS >= 2
  std::map<std::string, std::vector<sdbus::VTableItem>> has_;  ///< until show()
#endif
};

}  // namespace cpns::ble::dbus
