#pragma once
#include <signal.h>

#include <thread>
#include <utility>

namespace espalier::transport {

/// A thread on which no signal handler ever runs: signals are the host program's business.
template <class Body>
std::thread startSilentThread(Body body) {
  sigset_t all, before;
  sigfillset(&all);
  // The thread inherits the mask: to set it there would leave a moment in which a handler might run.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread thread(std::move(body));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  } catch (...) {  // no thread to be had
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
}

}  // namespace espalier::transport
