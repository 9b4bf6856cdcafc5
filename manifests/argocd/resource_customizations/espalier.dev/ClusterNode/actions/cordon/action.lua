obj.spec.unschedulable = true
return obj
