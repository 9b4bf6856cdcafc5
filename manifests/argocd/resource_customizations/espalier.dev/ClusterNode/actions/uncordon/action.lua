obj.spec.unschedulable = false
return obj
