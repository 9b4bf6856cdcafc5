#pragma once
#include <memory>
#include <string>

#include "transport/link.h"
#include "transport/verbs/device.h"
#include "transport/wire/frame.h"

namespace espalier::transport::verbs {

/// The authenticated connection between two ranks that are to be joined.
struct Meeting {
  int fd = -1;
  FrameReader& reader;
  Deadline deadline;
  int wakeFd = -1;
};

/// Joins two ranks by a queue pair; both ends call it at the same point of their conversation. First both set
/// themselves up and tell each other where they are, then both connect, then each waits for a frame of the other: UC
/// gives no error when there is no way. Null with the reason, at both ends, if either fails; the connection can then be
/// used for something else.
/// `device` "": the only active one.
std::unique_ptr<Link> settle(Shelf& shelf, const std::string& device, const Meeting& meeting, std::string& why);

}  // namespace espalier::transport::verbs
